// A worker thread beside the main thread, each with the addon in its own environment; then a worker that is stopped in mid-reply. Not by
// `terminate()`: node-llama-cpp aborts the process when a worker is terminated while it generates, with this package and without.
import assert from "node:assert/strict";
import {once} from "node:events";
import {isMainThread, parentPort, Worker, workerData} from "node:worker_threads";
import {openReply} from "./reply.mjs";

const reply = await openReply();
if (!isMainThread) {
    if (workerData === "endless") {
        const stop = new AbortController();
        parentPort.once("message", () => stop.abort());
        const onTextChunk = () => parentPort.postMessage("begun");
        await reply({maxTokens: 100_000, onTextChunk, signal: stop.signal, stopOnAbortSignal: true});
    } else parentPort.postMessage(await reply());
} else {
    const alone = await reply();
    assert.ok(alone.length > 0);
    const worker = new Worker(new URL(import.meta.url));
    const [[text]] = await Promise.all([once(worker, "message"), once(worker, "exit"), reply()]);
    assert.equal(text, alone);
    const endless = new Worker(new URL(import.meta.url), {workerData: "endless"});
    await once(endless, "message");
    endless.postMessage("stop");
    assert.deepEqual(await once(endless, "exit"), [0]);
    assert.equal(await reply(), alone);
}
