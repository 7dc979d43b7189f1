import {basename, dirname, join} from "node:path";
import type {Contender} from "../harness/interleave.js";
import {nodeWorker, runProcess} from "../harness/process.js";
import type {Costs, CostsWork, GenerateMode, GenerateResult, GenerateWork} from "./work.js";

export interface GenerateContender extends Contender<GenerateResult> {
    mode: GenerateMode;
    sequences: number;
    /** Rate of top acceptance that the agent was made for; 1 for plain, which takes every top candidate. */
    rate: number;
    /** libuv's pool of one thread, which keeps plain decodes on one thread. */
    onePoolThread: boolean;
    /** With node-llama-cpp's `InputLookupTokenPredictor`. */
    predictor: boolean;
    /** True if the text copies from its prompt. */
    copying: boolean;
    /** The places where the text of several sequences parted from that of the first contender of its kind. */
    parted: Set<string>;
}

type Kind = Pick<GenerateContender, "mode" | "sequences" | "rate" | "onePoolThread" | "predictor" | "copying">;

export interface Plan {
    modelPath: string;
    agents: string;
    sequences: readonly number[];
    rates: readonly number[];
    tokens: number;
    contextSize: number;
    threads: number;
    prefillTokens: number;
}

export function modelName(path: string): string {
    return basename(path) === "model.gguf" ? `${basename(dirname(path))} model` : basename(path, ".gguf");
}

export const percent = (rate: number) => `${Math.round(rate * 100)} %`;

export function nameOf({mode, rate, sequences, onePoolThread, predictor, copying}: Kind): string {
    const what = mode === "plain" ? `plain${onePoolThread ? ", one pool thread" : ""}` : `${mode}, ${percent(rate)}`;
    return `${what}${predictor ? ", lookup" : ""}${copying ? ", copying" : ""}, ${sequences} seq.`;
}

/** With and without a token predictor, where it helps and where it does not. Plain, and aligned by agents of these rates. */
function predictorKinds(rates: readonly number[]): Omit<Kind, "sequences">[] {
    const modes: Pick<Kind, "mode" | "rate">[] = [
        {mode: "plain", rate: 1},
        ...rates.map((rate) => ({mode: "lanes" as const, rate}))
    ];
    return [false, true].flatMap((copying) =>
        [false, true].flatMap((predictor) =>
            modes
                .filter(() => copying || predictor)
                .map((kind) => ({...kind, onePoolThread: false, predictor, copying}))
        )
    );
}

/** Every contender of a model, in the order in which they take turns. */
export function generateContenders(plan: Plan): GenerateContender[] {
    const {rates} = plan;
    const texts = new Map<string, number[][]>();
    return plan.sequences.flatMap((sequences) => {
        // Serial mode decides for one sequence after the other. With several, one rate is enough to show the cost.
        const serialRates = sequences === 1 ? rates : rates.filter((rate) => rate === 0.8);
        const usual = {onePoolThread: false, predictor: false, copying: false};
        const kinds: Omit<Kind, "sequences">[] = [
            {...usual, mode: "plain", rate: 1},
            {...usual, mode: "plain", rate: 1, onePoolThread: true},
            ...rates.map((rate) => ({...usual, mode: "lanes" as const, rate})),
            ...serialRates.map((rate) => ({...usual, mode: "serial" as const, rate})),
            ...(sequences === 1 ? predictorKinds(rates.filter((rate) => rate === 1 || rate === 0.8)) : [])
        ];
        return kinds.map((kind) => contenderOf({...kind, sequences}, plan, texts));
    });
}

function contenderOf(
    kind: Kind,
    {modelPath, agents, tokens, contextSize, threads, prefillTokens}: Plan,
    texts: Map<string, number[][]>
): GenerateContender {
    const {mode, rate, sequences, onePoolThread, predictor, copying} = kind;
    const work: GenerateWork = {
        task: "generate",
        modelPath,
        mode,
        ...(mode !== "plain" && {agentPath: join(agents, `${rate}.safetensors`)}),
        sequences,
        predictor,
        copying,
        tokens,
        contextSize,
        threads,
        prefillTokens: sequences === 1 && rate === 1 && !predictor && !copying ? prefillTokens : 0
    };
    // 4 is libuv's own default, set whatever the caller's environment says.
    const env = {UV_THREADPOOL_SIZE: onePoolThread ? "1" : "4"};
    const parted = new Set<string>();
    return {
        ...kind,
        parted,
        name: nameOf(kind),
        measure: () => runProcess<GenerateResult>(nodeWorker("generate/worker.ts", work, env)),
        problem: (result) => {
            // Plain, lanes and serial must agree in every token wherever they take the same decisions. Several sequences share
            // batches as their timing has it, and together soon exceed 512 cells, where llama.cpp rounds by batch: no error.
            const key = `${rate} ${sequences} ${copying}`;
            const expected = texts.get(key) ?? result.texts;
            texts.set(key, expected);
            const wrong = difference(result.texts, expected);
            if (wrong === undefined || sequences === 1) return wrong;
            parted.add(wrong);
            return undefined;
        }
    };
}

function difference(actual: readonly number[][], expected: readonly number[][]): string | undefined {
    for (const [i, text] of actual.entries()) {
        const at = text.findIndex((token, place) => token !== expected[i]?.[place]);
        if (at >= 0) return `other text than the first contender of this kind: sequence ${i}, token ${at}`;
    }
    return undefined;
}

export function costsContender(work: CostsWork): Contender<Costs> {
    return {
        name: "costs",
        measure: () => runProcess<Costs>(nodeWorker("generate/worker.ts", work, {UV_THREADPOOL_SIZE: "1"})),
        problem: () => undefined
    };
}
