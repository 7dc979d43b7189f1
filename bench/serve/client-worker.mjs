/** A client of HTTP on a thread of its own, as clients are no part of the server's. */
import {parentPort, workerData} from "node:worker_threads";

async function tokensOf({model, content, maxTokens}) {
    const response = await fetch(`${workerData.url}/v1/chat/completions`, {
        method: "POST",
        headers: {"content-type": "application/json"},
        body: JSON.stringify({
            model,
            messages: [{role: "user", content}],
            max_tokens: maxTokens,
            temperature: 0
        })
    });
    const {usage, error} = await response.json();
    if (error !== undefined) throw new Error(error.message);
    return usage.completion_tokens;
}

parentPort.on("message", async (requests) => {
    const counts = await Promise.all(requests.map(tokensOf));
    parentPort.postMessage(counts.reduce((total, count) => total + count, 0));
});
