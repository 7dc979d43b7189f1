/**
 * Worker threads that end while their learner trains, in a process of their own. Prints as JSON how many threads of the process are left over
 * after five of them, and whether the addon is still in memory (Linux).
 */
import {readdirSync, readFileSync} from "node:fs";
import {isMainThread, Worker} from "node:worker_threads";
import {register} from "tsx/esm/api";

/** A thread that has been joined may stand in the list for a moment. */
async function threads(atMost) {
    let count = Infinity;
    for (let i = 0; i < 200 && count > atMost; i++) {
        if (i > 0) await new Promise((resolve) => setTimeout(resolve, 10));
        count = readdirSync("/proc/self/task").length;
    }
    return count;
}

async function endOne() {
    const worker = new Worker(new URL(import.meta.url));
    await new Promise((resolve, reject) => {
        worker.once("error", reject);
        worker.once("exit", resolve);
    });
}

if (isMainThread) {
    await endOne();
    const before = await threads(0);
    for (let i = 0; i < 5; i++) await endOne();
    const left = (await threads(before)) - before;
    console.log(JSON.stringify({left, loaded: readFileSync("/proc/self/maps", "utf8").includes("mara.node")}));
} else {
    register();
    const {Learner} = await import("../../lib/train/learner/learner.ts");
    const learner = new Learner({width: 24, hidden1: 32, hidden2: 8, batchSize: 16, seed: 1, threads: 2});
    learner.addTransitions({
        states: new Float32Array(24).fill(1),
        state: new Int32Array(1),
        action: new Uint8Array(1),
        reward: new Float32Array(1),
        nextState: new Int32Array(1).fill(-1)
    });
    await learner.update(1);
    learner.update(1_000_000).catch(() => {});
    process.exit(0);
}
