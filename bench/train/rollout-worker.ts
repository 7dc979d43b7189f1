/** One contender of the rollout measurement, in a process of its own. */
import {MaraAgent} from "../../lib/index.js";
import {Learner} from "../../lib/train/learner/learner.js";
import {Rollouts} from "../../lib/train/rollout/rollouts.js";
import {generateAll, loadModel} from "../generate/model.js";
import {prompts} from "../generate/work.js";
import type {RolloutMeasure, RolloutWork} from "./rollout.js";

const {modelPath, topK, sequences, tokens, threads} = JSON.parse(process.argv[2] as string) as RolloutWork;
const model = await loadModel(modelPath);
const result = topK === 0 ? await plain() : await rollouts();
console.log(JSON.stringify(result));
process.exit(0);

async function plain(): Promise<RolloutMeasure> {
    const context = await model.createContext({sequences, contextSize: 512, threads});
    const all = Array.from({length: sequences}, () => context.getSequence());
    await generateAll(all, Math.min(16, tokens));
    const {tokensPerSecond, texts} = await generateAll(all, tokens);
    return {tokensPerSecond, tokens: texts.flat().length, candidatesPerSecond: 0, decisionsPerSecond: 0};
}

/** Rolls out by an agent as it is when training begins, which accepts about every second candidate. Prompts are read meanwhile. */
async function rollouts(): Promise<RolloutMeasure> {
    const learner = new Learner({width: model.embeddingVectorSize, threads});
    const agent = MaraAgent.fromTensors(learner.actor(), {dtype: "f32", threads});
    const runs = await Rollouts.open(model, {
        threads,
        sequences,
        maxTokens: tokens,
        contextSize: 512,
        candidates: {topK}
    });
    const asked = Array.from({length: 2 * sequences}, (_, i) => ({prompt: prompts[i % prompts.length] as string}));
    await runs.run(agent, asked.slice(0, 1), [0], () => {});
    const sums = {tokens: 0, decisions: 0, candidates: 0};
    const start = performance.now();
    await runs.run(
        agent,
        asked,
        asked.map((_, i) => i),
        (trajectory) => {
            sums.tokens += trajectory.tokens.length;
            sums.decisions += trajectory.decisions.length;
            for (const {candidates} of trajectory.decisions) sums.candidates += candidates.length;
        }
    );
    const seconds = (performance.now() - start) / 1000;
    return {
        tokens: sums.tokens,
        tokensPerSecond: sums.tokens / seconds,
        decisionsPerSecond: sums.decisions / seconds,
        candidatesPerSecond: sums.candidates / seconds
    };
}
