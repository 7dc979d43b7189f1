/**
 * What a value network does to a model's answers: docs/results/value.md.
 *
 *     npx tsx docs/results/value.ts MODEL.gguf NETWORK.safetensors PROMPTS REWARD MAX_TOKENS COUNT WEIGHT...
 *
 * Prints, for the model alone and for each weight of the network, the mean reward of greedy answers to the first COUNT prompts and the
 * difference to the model alone, with the standard error over the prompts.
 */
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import {answerAll, createAlignedContext, loadPrompts, openReward, valueModel} from "../../lib/index.js";

const [modelPath, network, promptsFile, rewardName, maxTokens, count, ...weights] = process.argv.slice(2) as [
    string,
    string,
    string,
    string,
    ...string[]
];

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

const llama = await getLlama({build: "never", gpu: false, logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath});
const prompts = (await loadPrompts(promptsFile)).slice(0, Number(count));
const reward = await openReward(rewardName);
let raw: number[] | undefined;
for (const weight of [0, ...weights.map(Number)]) {
    const {context} = await createAlignedContext(model, {
        guides: [valueModel({network, weight})],
        contextSize: 512,
        threads: 1
    });
    const start = performance.now();
    const answers = await answerAll(context, prompts, {maxTokens: Number(maxTokens), temperature: 0});
    const seconds = (performance.now() - start) / 1000;
    await context.dispose();
    const scores: number[] = [];
    for (const {prompt, text} of answers) scores.push((await reward.score(prompt, text)).score);
    raw ??= scores;
    const gains = scores.map((score, i) => score - ((raw as number[])[i] as number));
    const variance = mean(gains.map((gain) => (gain - mean(gains)) ** 2));
    console.log(
        JSON.stringify({
            weight,
            reward: mean(scores),
            gain: mean(gains),
            standardError: Math.sqrt(variance / (gains.length - 1)),
            wins: gains.filter((gain) => gain > 0).length,
            losses: gains.filter((gain) => gain < 0).length,
            tokens: answers.reduce((sum, {tokens}) => sum + tokens.length, 0),
            seconds,
            answers: answers.slice(0, 5).map(({text}) => text)
        })
    );
}
await llama.dispose();
