/** A guide by a value network: it changes the logits of a step's most probable tokens by what the network gives for each. */
import type {LlamaContext, LlamaModel} from "node-llama-cpp";
import {loadValueNetwork, type ValueNetwork} from "../../agent/value-network.js";
import {MaraError} from "../../errors.js";
import type {NativeStudent} from "../../native.js";
import {maxTimeoutMs} from "../../rewards/time-limit.js";
import {hashOfModel, studentTable} from "../cascade/student-table.js";
import {warnOnce} from "../warn-once.js";
import {largestTokens, logSum} from "./logits.js";
import type {ModelGuide} from "./model-guide.js";

/** A step's most probable tokens, and their log-probabilities over the whole vocabulary. */
export interface Listed {
    tokens: Int32Array;
    logs: Float32Array;
    /** ln Σ exp of all logits. */
    total: number;
}

const leastToldLog = Math.log(1e-6);

/** A log-probability as a network is told it: what is hardly possible is all the same to it. */
export const toldLog = (log: number) => Math.max(leastToldLog, log);

/** The `count` most probable tokens of a row. */
export function listed(logits: Float32Array, count: number): Listed {
    const tokens = largestTokens(logits, count);
    const total = logSum(logits);
    return {tokens, logs: Float32Array.from(tokens, (token) => (logits[token] as number) - total), total};
}

interface Ready {
    network: ValueNetwork;
    table: NativeStudent;
}

/** @param file a value network's file */
export function networkGuide({network: file, weight}: {network: string; weight: number}): ModelGuide {
    let loading: Promise<ValueNetwork> | undefined;
    const opened = new WeakMap<LlamaModel, Promise<Ready>>();
    const open = (model: LlamaModel): Promise<Ready> => {
        let ready = opened.get(model);
        if (ready === undefined) {
            loading ??= loadValueNetwork(file);
            ready = loading.then((network) => readyFor(model, network, file));
            opened.set(model, ready);
            // A later context tries again.
            ready.catch(() => {
                opened.delete(model);
                loading = undefined;
            });
        }
        return ready;
    };
    return {
        needsStates: true,
        // Its table may have to be made first.
        timeoutMs: maxTimeoutMs,
        async open({model}: LlamaContext) {
            await open(model);
        },
        async guide(logits, {state, sequence}) {
            if (state === undefined || weight === 0) return;
            const {network, table} = await open(sequence.context.model);
            const {tokens, logs} = listed(logits, network.candidates);
            const values = table.judge(state, tokens, logs.map(toldLog));
            for (const [rank, token] of tokens.entries())
                logits[token] = (logits[token] as number) + weight * (values[2 * rank] as number);
        },
        mapped: () => []
    };
}

async function readyFor(model: LlamaModel, network: ValueNetwork, file: string): Promise<Ready> {
    const {embeddingVectorSize} = model;
    if (network.width !== embeddingVectorSize)
        throw new MaraError(
            "VALUE_NETWORK",
            `The value network ${file} reads states of width ${network.width}, but the model's embedding size is ${embeddingVectorSize}. ` +
                "Use one that was trained for a model of this width."
        );
    if ((await hashOfModel(model)) !== network.model)
        warnOnce(
            `The value network ${file} was trained on another model file. Other quantisations of that model will do; measure others (mara eval).`
        );
    return {network, table: await studentTable(model, network)};
}
