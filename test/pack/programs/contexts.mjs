// Two aligned contexts of one model at the same time reply as one alone does.
import assert from "node:assert/strict";
import {openReply} from "./reply.mjs";

const reply = await openReply();
const alone = await reply();
assert.ok(alone.length > 0);
assert.deepEqual(await Promise.all([reply(), reply()]), [alone, alone]);
