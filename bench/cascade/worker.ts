/** Answers prompts as a chat would, plain or with an agent and its student, in a process of its own. */
import {InputLookupTokenPredictor, type LlamaContext, type LlamaContextSequence, type Token} from "node-llama-cpp";
import {promptTokens} from "../../lib/generation/prompt-tokens.js";
import {type Aligner, createAlignedContext, loadPrompts, MaraAgent} from "../../lib/index.js";
import {recordBatches, recordPlain} from "../generate/measure.js";
import {loadModel} from "../generate/model.js";
import type {AnswerResult, AnswerWork} from "./work.js";

const work = JSON.parse(process.argv[2] as string) as AnswerWork;
console.log(JSON.stringify(await measureAnswers(work)));
process.exit(0);

async function measureAnswers(work: AnswerWork): Promise<AnswerResult> {
    const {modelPath, agentPath, cascade, sequences: count, threads, maxTokens} = work;
    const model = await loadModel(modelPath);
    const prompts = (await loadPrompts(work.promptsFile))
        .slice(0, work.prompts)
        .map((prompt) => promptTokens(model, prompt));
    const contextSize = Math.max(...prompts.map(({length}) => length)) + maxTokens + 1;
    const options = {sequences: count, contextSize, threads};
    const batches = recordBatches();
    const {context, aligner}: {context: LlamaContext; aligner?: Aligner} =
        agentPath === undefined
            ? {context: await model.createContext(options)}
            : await createAlignedContext(model, {
                  ...options,
                  agent: await MaraAgent.load(agentPath, {threads}),
                  ...(cascade === undefined ? {} : {cascade})
              });
    if (aligner === undefined) recordPlain(context, batches);
    const sequences = Array.from({length: count}, () =>
        context.getSequence({...(work.predictor && {tokenPredictor: new InputLookupTokenPredictor()})})
    );

    // The aligner learns its wave sizes meanwhile.
    await answerAll(sequences, prompts.slice(0, count), maxTokens);
    aligner?.resetStats();
    batches.length = 0;
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    const answers = await answerAll(sequences, prompts, maxTokens);
    const seconds = (performance.now() - start) / 1000;
    const {user, system} = process.cpuUsage(cpu);
    const tokens = answers.reduce((sum, {length}) => sum + length, 0);
    const stats = aligner?.stats();
    return {
        tokens,
        seconds,
        cpuSeconds: (user + system) / 1e6,
        decodesPerToken: batches.length / tokens,
        byStudent: stats === undefined ? null : stats.studentDecisions / Math.max(1, stats.decisions),
        texts: answers.map((answer) => model.detokenize(answer))
    };
}

/** Each sequence takes the next prompt when it is done with one. */
async function answerAll(
    sequences: readonly LlamaContextSequence[],
    prompts: readonly Token[][],
    maxTokens: number
): Promise<Token[][]> {
    const answers: Token[][] = [];
    let next = 0;
    await Promise.all(
        sequences.map(async (sequence) => {
            for (let i = next++; i < prompts.length; i = next++) {
                const prompt = prompts[i] as Token[];
                const answer: Token[] = [];
                await sequence.clearHistory();
                sequence.tokenPredictor?.updateInputTokens?.(prompt);
                for await (const token of sequence.evaluate(prompt)) {
                    answer.push(token);
                    if (answer.length === maxTokens) break;
                }
                answers[i] = answer;
            }
        })
    );
    return answers;
}
