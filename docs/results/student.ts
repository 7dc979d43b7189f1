/**
 * Holds an agent's student against the agent on prompts that neither was made from:
 * `node --import tsx docs/results/student.ts MODEL AGENT PROMPTS [DECISIONS]`. The model runs on one CPU thread.
 */
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import {MaraAgent} from "../../lib/agent/agent.js";
import {minConfidence} from "../../lib/agent/calibration.js";
import {type AgentStudent, logSigmaBounds, studentSizes} from "../../lib/agent/student.js";
import {readEmbeddings} from "../../lib/align/node-llama-cpp/embeddings.js";
import {resolveSettings} from "../../lib/align/options.js";
import {loadPrompts} from "../../lib/prompts/prompts.js";
import {Rollouts} from "../../lib/train/rollout/rollouts.js";
import {collectLabels} from "../../lib/train/student/collect.js";
import {type Labels, logit} from "../../lib/train/student/labels.js";

const [modelPath = "", agentFile = "", promptsFile = "", wanted = "2000"] = process.argv.slice(2);
const agreements = [1, 0.99, 0.98, 0.95, 0.9, 0];

const llama = await getLlama({gpu: false, maxThreads: 1, logLevel: LlamaLogLevel.error, build: "never"});
const model = await llama.loadModel({modelPath});
const agent = await MaraAgent.load(agentFile, {threads: 1});
const {student} = agent;
if (student === undefined) throw new Error(`${agentFile} has no student`);
const {topK, topP, minP, threshold} = resolveSettings({agent});
const rollouts = await Rollouts.open(model, {
    maxTokens: 48,
    contextSize: 320,
    candidates: {topK, topP, minP, temperature: 1},
    threads: 1
});
const {training, heldOut} = await collectLabels({
    rollouts,
    agent,
    prompts: await loadPrompts(promptsFile),
    threshold,
    decisions: Number(wanted),
    responses: Number.POSITIVE_INFINITY,
    seed: 0,
    onDecisions: () => {},
    signal: undefined
});
for (const store of [training, heldOut]) {
    const labels = store.join();
    const tokens = Int32Array.from(new Set(labels.token)).sort();
    print(student, labels, predict(student, labels, tokens, await readEmbeddings(model, tokens)), logit(threshold));
}
await llama.dispose();

interface Predictions {
    mean: Float64Array;
    sigma: Float64Array;
}

/** The student's network in float64. */
function predict(
    {tensors}: AgentStudent,
    {width, states, state, token, logProbability, rank}: Labels,
    tokens: Int32Array,
    embeddings: Float32Array
): Predictions {
    const linear = (name: "hidden" | "embedding" | "fc1" | "fc2", x: Float64Array) => {
        const [weight, bias] = [tensors[`${name}.weight`].data, tensors[`${name}.bias`].data];
        return Float64Array.from(bias, (start, row) =>
            x.reduce((sum, value, i) => sum + value * (weight[row * x.length + i] as number), start)
        );
    };
    const rowsOf = (table: Float32Array) =>
        Array.from({length: table.length / width}, (_, row) =>
            Float64Array.from(table.subarray(row * width, (row + 1) * width))
        );
    const projected = rowsOf(states).map((row) => linear("hidden", normalised(row, tensors)));
    const table = new Map(rowsOf(embeddings).map((row, i) => [tokens[i] as number, linear("embedding", row)]));
    const mean = new Float64Array(token.length);
    const sigma = new Float64Array(token.length);
    for (const [i, own] of token.entries()) {
        const p = projected[state[i] as number] as Float64Array;
        const q = table.get(own) as Float64Array;
        const features = new Float64Array(studentSizes.features);
        features.set([...p, ...q, ...p.map((value, c) => value * (q[c] as number))]);
        features.set([logProbability[i] as number, rank[i] as number], features.length - 2);
        const out = linear(
            "fc2",
            linear("fc1", features).map((value) => Math.max(0, value))
        );
        mean[i] = out[0] as number;
        sigma[i] = Math.exp(Math.min(logSigmaBounds.max, Math.max(logSigmaBounds.min, out[1] as number)));
    }
    return {mean, sigma};
}

function normalised(row: Float64Array, tensors: AgentStudent["tensors"]): Float64Array {
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
    const [gain, shift] = [tensors["norm.weight"].data, tensors["norm.bias"].data];
    return row.map(
        (value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * (gain[i] as number) + (shift[i] as number)
    );
}

/** What decisions of the strategy "first" cost and choose, in serial: a candidate that the agent is asked about is decoded. */
function print(own: AgentStudent, {state, logit: logits}: Labels, {mean, sigma}: Predictions, at: number): void {
    const groups = new Map<number, number[]>();
    for (const [label, row] of state.entries()) groups.set(row, [...(groups.get(row) ?? []), label]);
    const average = logits.reduce((sum, value) => sum + value, 0) / logits.length;
    const squares = (reference: (i: number) => number) =>
        logits.reduce((sum, value, i) => sum + (value - reference(i)) ** 2, 0);
    const r2 = 1 - squares((i) => mean[i] as number) / squares(() => average);
    console.log(`${groups.size} decisions, ${logits.length} verdicts, R² ${r2.toFixed(3)}`);
    for (const agreement of ["exact", ...agreements] as const) {
        const min = agreement === "exact" ? Number.POSITIVE_INFINITY : minConfidence(own, at, agreement).confidence;
        let [decodes, same, taken, agreed, verdicts] = [0, 0, 0, 0, 0];
        for (const labels of groups.values()) {
            let [chosen, decoded] = [0, false];
            for (const [rank, i] of labels.entries()) {
                const byStudent = Math.abs((mean[i] as number) - at) / (sigma[i] as number) >= min;
                const wouldAccept = (logits[i] as number) > at;
                const accepts = byStudent ? (mean[i] as number) > at : wouldAccept;
                verdicts++;
                if (byStudent) taken++;
                if (byStudent && accepts === wouldAccept) agreed++;
                if (!byStudent) decodes++;
                if (!accepts) continue;
                [chosen, decoded] = [rank, !byStudent];
                break;
            }
            if (!decoded) decodes++;
            if (
                chosen ===
                Math.max(
                    0,
                    labels.findIndex((i) => (logits[i] as number) > at)
                )
            )
                same++;
        }
        const share = (part: number, whole: number) => `${((100 * part) / whole).toFixed(1)} %`;
        console.log(
            `agreement ${agreement}: ${(decodes / groups.size).toFixed(2)} decodes per decision, the agent's choice in ` +
                `${share(same, groups.size)}, ${share(taken, verdicts)} of verdicts by the student, of which ` +
                `${taken === 0 ? "–" : share(agreed, taken)} agree`
        );
    }
}
