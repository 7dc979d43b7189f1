/** Reads demonstrations: what a value network will be shown at each of their tokens, by a guide that makes the model say them. */
import type {LlamaModel, Token} from "node-llama-cpp";
import {createAlignedContext} from "../../align/aligned-context.js";
import {listed} from "../../align/guides/value-network.js";
import type {Guide} from "../../align/steer/guide.js";
import {MaraError} from "../../errors.js";
import {promptTokens} from "../../generation/prompt-tokens.js";
import type {Demonstration} from "../../prompts/prompts.js";

/** A demonstration as tokens. */
export interface Spelt {
    prompt: Token[];
    /** With the token that ends a response, where the model has one and the response was not cut. */
    response: Token[];
}

/** A token of a demonstration, and the step from which it was to be drawn. */
export interface DemonstratedToken {
    state: Float32Array;
    /** The step's most probable tokens, and their log-probabilities over the whole vocabulary. */
    tokens: Int32Array;
    logs: Float32Array;
    /** Its rank among them; −1 where it is none of them. */
    rank: number;
    /** −ln of its probability by the model alone. */
    surprise: number;
}

export interface Reading {
    /** The most probable tokens that are kept of each step. */
    candidates: number;
    threads: number | undefined;
    /** Told how many demonstrations are read. */
    onRead: (done: number) => void;
    signal: AbortSignal | undefined;
}

export function spell(model: LlamaModel, {response, cut, ...prompt}: Demonstration): Spelt {
    const end = cut ? null : (model.tokens.eot ?? model.tokens.eos);
    return {
        prompt: promptTokens(model, prompt),
        response: [...model.tokenize(response), ...(end === null ? [] : [end])]
    };
}

/**
 * Token by token, as the model generates, so that states are rounded as they will be then.
 * @returns the tokens of each demonstration; of fewer, if the signal ended it
 * @throws MaraError LANES_UNAVAILABLE, CONTEXT_FAILED, MODEL_UNSUPPORTED
 */
export async function readDemonstrations(
    model: LlamaModel,
    texts: readonly Spelt[],
    {candidates, threads, onRead, signal}: Reading
): Promise<DemonstratedToken[][]> {
    const read: DemonstratedToken[][] = [];
    let own: DemonstratedToken[] = [];
    let wanted: readonly Token[] = [];
    const teacher: Guide = {
        needsStates: true,
        guide(logits, {state}) {
            if (state === undefined)
                throw new MaraError(
                    "MODEL_UNSUPPORTED",
                    "llama.cpp gives no hidden states of this model beside logits"
                );
            const token = wanted[own.length] as Token;
            const {tokens, logs, total} = listed(logits, candidates);
            own.push({state, tokens, logs, rank: tokens.indexOf(token), surprise: total - (logits[token] as number)});
            logits.fill(Number.NEGATIVE_INFINITY);
            logits[token] = 0;
        }
    };
    const longest = texts.reduce((max, {prompt, response}) => Math.max(max, prompt.length + response.length), 0);
    const {context} = await createAlignedContext(model, {
        guides: [teacher],
        mode: "lanes",
        lanes: 1,
        contextSize: longest + 1,
        ...(threads === undefined ? {} : {threads})
    });
    try {
        const sequence = context.getSequence();
        for (const {prompt, response} of texts) {
            if (signal?.aborted) break;
            [own, wanted] = [[], response];
            await sequence.clearHistory();
            for await (const _ of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true}))
                if (own.length === response.length) break;
            onRead(read.push(own));
        }
    } finally {
        await context.dispose();
    }
    return read;
}
