// node-llama-cpp awaits at its top level, so nothing that stands on it can be required: Node must say so and name import(), which works.
const assert = require("node:assert/strict");

assert.throws(() => require("node-llama-mara"), {
    code: /^ERR_REQUIRE_(ASYNC_MODULE|ESM)$/,
    message: /import\(\)/
});
import("node-llama-mara").then((mara) => {
    assert.equal(typeof mara.MaraAgent.load, "function");
    assert.equal(typeof mara.createAlignedContext, "function");
});
