// CommonJS gets the ES module itself.
const assert = require("node:assert/strict");
const mara = require("node-llama-mara");

assert.equal(typeof mara.MaraAgent.load, "function");
assert.equal(typeof mara.createAlignedContext, "function");
import("node-llama-mara").then((module) => assert.equal(module.MaraAgent, mara.MaraAgent));
