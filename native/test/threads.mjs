/**
 * Run by threads.sh with an addon under ThreadSanitizer: three worker threads, each with agents, a learner and aligned contexts of its own,
 * that score, train, decode and dispose, mostly while something of it still runs. Seeded: every run makes the same calls.
 */
import {isMainThread, Worker, workerData} from "node:worker_threads";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import {demoAgentPath, demoModelPath} from "../../dist/demo/files.js";
import {createAlignedContext, MaraAgent, MaraError} from "../../dist/index.js";
import {Learner} from "../../dist/train/learner/learner.js";

const rounds = 3;

/** Values in (-1, 1), from a linear congruential generator. */
function numbers(count, seed) {
    let state = seed;
    return Float32Array.from({length: count}, () => {
        state = (Math.imul(state, 1664525) + 1013904223) | 0;
        return state / 2 ** 31;
    });
}

/** The ways in which a call may end whose object is disposed meanwhile. */
const allowed = ["AGENT_DISPOSED", "LEARNER_DISPOSED", "DECODE_FAILED"];
const settled = async (promises) => {
    for (const {status, reason} of await Promise.allSettled(promises)) {
        const isExpected =
            (reason instanceof MaraError && allowed.includes(reason.code)) || /dispos/i.test(`${reason}`);
        if (status === "rejected" && !isExpected) throw reason;
    }
};

async function score(agent, seed) {
    const states = numbers(40 * agent.width, seed);
    const calls = Array.from({length: 6}, () => agent.scoreAsync(states));
    states.fill(0);
    agent.score(states);
    await settled(calls);
}

async function train(seed) {
    const learner = new Learner({width: 24, hidden1: 32, hidden2: 8, batchSize: 16, seed, threads: 2});
    const add = () =>
        learner.addTransitions({
            states: numbers(20 * 24, seed),
            state: Int32Array.from({length: 20}, (_, i) => i),
            action: Uint8Array.from({length: 20}, (_, i) => i % 2),
            reward: numbers(20, seed + 1),
            nextState: Int32Array.from({length: 20}, (_, i) => (i < 19 ? i + 1 : -1))
        });
    add();
    const jobs = [learner.update(3)];
    add();
    jobs.push(
        learner.fit({
            states: numbers(8 * 24, seed),
            labels: new Uint8Array(8).fill(1),
            weights: numbers(8, seed).map(Math.abs)
        })
    );
    await settled(jobs);
    learner.save();
    const last = learner.update(1000);
    learner.dispose();
    await settled([last]);
}

async function decode(model, agent, tokens) {
    const {context} = await createAlignedContext(model, {
        agent,
        mode: "lanes",
        contextSize: 128,
        sequences: 2,
        threads: 2,
        strategy: "max-prob"
    });
    const generate = async (text) => {
        const found = [];
        for await (const token of context.getSequence().evaluate(model.tokenize(text), {yieldEogToken: true})) {
            found.push(token);
            if (found.length === tokens) return;
        }
    };
    await settled([generate("Can I bring my dog"), generate("When is breakfast?")]);
    await context.dispose();
}

if (isMainThread) {
    const workers = [1, 2, 3].map((seed) => new Worker(new URL(import.meta.url), {workerData: {seed}}));
    const codes = await Promise.all(
        workers.map(
            (worker) =>
                new Promise((resolve, reject) => {
                    worker.once("error", reject);
                    worker.once("exit", resolve);
                })
        )
    );
    if (codes.some((code) => code !== 0)) throw new Error(`The workers ended with ${codes}`);
    console.log(`${workers.length} threads, ${rounds} rounds each`);
} else {
    const {seed} = workerData;
    const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
    const model = await llama.loadModel({modelPath: demoModelPath});
    for (let round = 0; round < rounds; round++) {
        const agent = await MaraAgent.load(demoAgentPath, {threads: 2});
        const work = [score(agent, seed + round), train(seed + round), decode(model, agent, 6)];
        const late = agent.scoreAsync(numbers(20 * agent.width, seed));
        await settled(work);
        const last = agent.scoreAsync(numbers(20 * agent.width, seed));
        agent.dispose();
        await settled([late, last]);
    }
    await llama.dispose();
}
