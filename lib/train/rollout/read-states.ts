/** The loop that reads the hidden states of given responses, with the tokens of several in one batch. */
import type {Token} from "node-llama-cpp";
import type {RolloutEngine, RolloutText} from "./engine.js";
import {concatenate} from "./rows.js";

/** Tokens of a response and their hidden states, [tokens][width]. */
export interface ResponseStates {
    tokens: Token[];
    states: Float32Array;
}

export interface ReadStates {
    texts: readonly {before: readonly Token[]; tokens: Token[]}[];
    onStates: (states: ResponseStates, index: number) => void;
    /** Called before every decode; throws to end the run. */
    requireOpen: () => void;
}

export async function readStates(engine: RolloutEngine, {texts, onStates, requireOpen}: ReadStates): Promise<void> {
    const open: {index: number; text: RolloutText; rest: Token[]; parts: Float32Array[]}[] = [];
    let waiting = 0;
    /** Decodes one batch: the oldest responses first. */
    const decode = async () => {
        requireOpen();
        let places = engine.places;
        const group = open
            .map(({text, rest, parts}) => {
                const tokens = rest.splice(0, places);
                places -= tokens.length;
                return {text, tokens, parts};
            })
            .filter(({tokens}) => tokens.length > 0);
        waiting -= engine.places - places;
        const states = await engine.run(group);
        for (const [i, {parts}] of group.entries()) parts.push(states[i] as Float32Array);
        while (open[0]?.rest.length === 0) {
            const {index, text, parts} = open.shift() as (typeof open)[number];
            engine.end(text);
            onStates({tokens: (texts[index] as {tokens: Token[]}).tokens, states: concatenate(parts)}, index);
        }
    };
    for (const [index, {before, tokens}] of texts.entries()) {
        requireOpen();
        const {text} = await engine.begin(before);
        open.push({index, text, rest: [...tokens], parts: []});
        waiting += tokens.length;
        while (waiting >= engine.places || open.length === engine.sequences) await decode();
    }
    while (open.length > 0) await decode();
}
