// A worker thread beside the main thread, each with the addon in its own environment; then a worker that is ended in mid-decision.
import assert from "node:assert/strict";
import {once} from "node:events";
import {isMainThread, parentPort, Worker, workerData} from "node:worker_threads";
import {openReply} from "./reply.mjs";

const reply = await openReply();
if (!isMainThread) {
    if (workerData === "endless") await reply({maxTokens: 200, onTextChunk: () => parentPort.postMessage("begun")});
    else parentPort.postMessage(await reply());
} else {
    const alone = await reply();
    assert.ok(alone.length > 0);
    const worker = new Worker(new URL(import.meta.url));
    const [[text]] = await Promise.all([once(worker, "message"), once(worker, "exit"), reply()]);
    assert.equal(text, alone);
    const endless = new Worker(new URL(import.meta.url), {workerData: "endless"});
    await once(endless, "message");
    await endless.terminate();
    assert.equal(await reply(), alone);
}
