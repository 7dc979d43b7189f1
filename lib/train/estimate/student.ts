/** What the student costs that a run makes in the end. */
import type {TrainConfig} from "../options.js";
import {decisions, maxStateBytes, minResponses, responsesOf} from "../student/after-run.js";
import {promptsPerBlock} from "../student/collect.js";
import {studentDefaults} from "../student/defaults.js";
import {fitStudent} from "../student/fit.js";
import type {Labels} from "../student/labels.js";
import {defaultThreads} from "../student/train-student.js";
import {timed} from "./trials.js";

export interface StudentCosts {
    /** Seconds of a response with every candidate judged, and of reading its states. */
    response: number;
    /** Decisions of a response, and the candidates of them all; no times. */
    decisions: number;
    labels: number;
    /** Seconds of fitting one label in one epoch. */
    label: number;
    /** Tokens of a response of the model itself; no time. */
    tokens: number;
    /** Of the model's states. */
    width: number;
}

/** Seconds of collecting and of the fit, which may end before its last epoch. */
export function studentParts(
    config: TrainConfig,
    costs: StudentCosts | undefined,
    counts: {prompts: number; pairs: number | null}
): {student: number; studentFit: number} {
    // Some prompts must be held out.
    if (costs === undefined || costs.decisions === 0 || (counts.pairs ?? counts.prompts) < 2)
        return {student: 0, studentFit: 0};
    const learnt = responsesOf(config, counts);
    const wanted = Math.min(Math.max(minResponses, learnt), Math.ceil(decisions / costs.decisions));
    const responses = Math.ceil(wanted / promptsPerBlock) * promptsPerBlock;
    const most = maxStateBytes / (costs.width * Float32Array.BYTES_PER_ELEMENT);
    const drawn = config.method === "advantage" ? Math.min(most, learnt * costs.tokens) : 0;
    const labels = responses * costs.labels + drawn;
    return {student: responses * costs.response, studentFit: labels * studentDefaults.epochs * costs.label};
}

const [trialLabels, trialTokens, trialEpochs] = [2048, 64, 2];

/** Seconds of fitting one label in one epoch, on labels that are made up. */
export async function measureLabel(width: number, threads: number | null): Promise<number> {
    const labels = (count: number): Labels => ({
        width,
        states: Float32Array.from({length: count * width}, (_, i) => (i % 7) - 3),
        state: Int32Array.from({length: count}, (_, i) => i),
        token: Int32Array.from({length: count}, (_, i) => i % trialTokens),
        logProbability: Float32Array.from({length: count}, (_, i) => -(i % 5)),
        rank: Float32Array.from({length: count}, (_, i) => i % 3),
        logit: Float32Array.from({length: count}, (_, i) => (i % 9) - 4)
    });
    const tokens = Int32Array.from({length: trialTokens}, (_, i) => i);
    const embeddings = Float32Array.from({length: trialTokens * width}, (_, i) => (i % 5) - 2);
    const [training, heldOut] = [labels(trialLabels), labels(trialLabels / 8)];
    const seconds = await timed(() =>
        fitStudent(
            training,
            heldOut,
            {tokens, embeddings},
            {
                seed: 0,
                epochs: trialEpochs,
                threads: threads ?? defaultThreads,
                thresholdLogit: 0,
                onEpoch: () => {},
                signal: undefined
            }
        )
    );
    return seconds / trialEpochs / trialLabels;
}
