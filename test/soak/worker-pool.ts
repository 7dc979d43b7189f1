import {fileURLToPath} from "node:url";
import {Worker} from "node:worker_threads";

const script = fileURLToPath(new URL("worker-start.mjs", import.meta.url));
let expected: string | undefined;

/** Lets a worker thread write a text and end with everything open. Resolves with the fault, if there is one: the text is always the same. */
export async function replyInWorker(modelPath: string): Promise<string | undefined> {
    const worker = new Worker(script, {workerData: modelPath});
    let text = "";
    worker.once("message", (message: string) => {
        text = message;
    });
    return await new Promise((resolve) => {
        worker.once("error", (error) => resolve(`Worker thread: ${error.stack}`));
        worker.once("exit", (code) => {
            expected ??= text;
            if (code !== 0 || text === "") resolve(`A worker thread ended with ${code} and the text "${text}"`);
            else resolve(text === expected ? undefined : `A worker thread wrote "${text}" instead of "${expected}"`);
        });
    });
}
