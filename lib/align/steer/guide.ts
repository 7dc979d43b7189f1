import type {LlamaContext, LlamaContextSequence, Token} from "node-llama-cpp";
import {MaraError, reasonOf} from "../../errors.js";
import {isPromise, timeoutMs, withinTime} from "../../rewards/time-limit.js";
import {check, options} from "../../validation/check.js";
import {quietly} from "../../validation/notify.js";
import {largest} from "../guides/logits.js";

/** A sequence and its text. */
export interface GuidedText {
    readonly sequence: LlamaContextSequence;
    /** Every token of the context, the prompt's included. Valid during the call only. */
    readonly tokens: readonly Token[];
    /** Index in `tokens` of the first one generated since the sequence was last given tokens of a prompt. */
    readonly responseStart: number;
}

/** Where a row of logits stands. */
export interface GuidedRow extends GuidedText {
    /** Index in the context of the token that the logits lead to. */
    readonly position: number;
    /** The token before it. */
    readonly previous: Token;
    /** A grammar will leave out tokens afterwards, so a guide that leaves out others might leave none. */
    readonly hasGrammar: boolean;
    /**
     * The hidden state that the logits come from, as the model's output layer reads it: as many numbers as the model's embeddings have. Undefined unless
     * a guide of the sequence says `needsStates`, and at the first token after that became so in mid-generation.
     */
    readonly state: Float32Array | undefined;
}

/**
 * Changes the logits of a step before candidates are drawn from them, as a bias or another model's knowledge may. It is told
 * which tokens were emitted or taken back, so that it can keep a state of its own. It needs lanes; several are asked in order.
 *
 * @example
 * // Never says the same token twice in a row.
 * const guide: Guide = {
 *     guide(logits, {previous}) {
 *         logits[previous] = Number.NEGATIVE_INFINITY;
 *     }
 * };
 * const {context} = await createAlignedContext(model, {agent, guides: [guide]});
 */
export interface Guide {
    /**
     * Changes `logits`, one per token of the vocabulary, in place, before penalties, grammar and truncation; −∞ leaves a token out. If it throws, takes
     * longer than `timeoutMs`, or leaves NaN, +∞ or no token, that generation ends with GUIDE_FAILED; the context goes on.
     */
    guide(logits: Float32Array, row: GuidedRow): void | Promise<void>;
    /** Longest time that a promise of `guide` is waited for, in milliseconds. Default 60 000. */
    readonly timeoutMs?: number;
    /** True if it reads `row.state`. The last token of a prompt is then decoded apart from those before it. */
    readonly needsStates?: boolean;
    /** Called before the first step in a context, which waits for it; `createAlignedContext` throws what it throws. */
    open?(context: LlamaContext): Promise<void>;
    /** The context is about to decode the last tokens of this text. What the guide decodes meanwhile runs beside it. */
    decoding?(text: GuidedText): void;
    /**
     * A candidate is about to be tried: the last token of this text, which may be rejected. A guide that can take it back may decode it
     * beside the context. `decoding` tells what became of it.
     */
    trying?(text: GuidedText): void;
    /** A token was chosen for this position. */
    emitted?(token: Token, at: {sequence: LlamaContextSequence; position: number}): void;
    /** The sequence's tokens at positions from `start` to before `end` (undefined: to the last) have left the context. */
    takenBack?(range: {sequence: LlamaContextSequence; start: number; end: number | undefined}): void;
    /** The sequence `to`, which was empty, has taken over the text of `from` without its being decoded again. */
    copied?(texts: {from: LlamaContextSequence; to: LlamaContextSequence}): void;
}

const timeout = options({timeoutMs: timeoutMs.optional()});

/** @throws MaraError INVALID_ARGUMENT for a time limit that is none */
export function checkGuides(guides: readonly Guide[]): void {
    for (const [i, guide] of guides.entries()) check(timeout, {timeoutMs: guide.timeoutMs}, `guides[${i}]`);
}

export function guidedText(
    sequence: LlamaContextSequence,
    {tokens, responseStart}: {tokens: readonly number[]; responseStart: number}
): GuidedText {
    return {sequence, tokens: tokens as readonly Token[], responseStart};
}

export const needStates = (guides: readonly Guide[]) => guides.some((guide) => guide.needsStates === true);

/** A step's row as guides are shown it, and how it takes their logits. */
export interface GuidableRow {
    readonly position: number;
    readonly token: number;
    logits(): Float32Array | undefined;
    state(): Float32Array | undefined;
    setLogits(logits: Float32Array): void;
}

/** Lets the guides change the row. `keepStates` is called if states are wanted and not kept yet. @throws MaraError GUIDE_FAILED */
export async function guideRow(
    guides: readonly Guide[],
    row: GuidableRow,
    text: GuidedText,
    {hasGrammar, keepStates}: {hasGrammar: boolean; keepStates: () => void}
): Promise<void> {
    const {position} = row;
    const logits = row.logits();
    if (logits === undefined)
        throw new MaraError("GUIDE_FAILED", "Guides need lanes: node-llama-cpp's stock calls do not change logits");
    const state = needStates(guides) ? row.state() : undefined;
    if (state === undefined && needStates(guides)) keepStates();
    await askGuides(guides, logits, {...text, position, previous: row.token as Token, hasGrammar, state});
    row.setLogits(logits);
}

/** Lets every guide change the logits. @throws MaraError GUIDE_FAILED */
async function askGuides(guides: readonly Guide[], logits: Float32Array, row: GuidedRow): Promise<void> {
    const {length} = logits;
    for (const guide of guides) {
        const {timeoutMs: limit = 60_000} = guide;
        const late = () => new Error(`it took more than ${limit} ms`);
        try {
            const changed = guide.guide(logits, row);
            if (isPromise(changed)) await withinTime(changed, limit, late);
        } catch (error) {
            if (error instanceof MaraError && error.code === "GUIDE_VOCABULARY") throw error;
            throw new MaraError("GUIDE_FAILED", `A guide threw: ${reasonOf(error)}`, {cause: error});
        }
        if (logits.length !== length) {
            throw new MaraError(
                "GUIDE_FAILED",
                `Expected ${length} logits from a guide but received ${logits.length}; it must not transfer them`
            );
        }
        const best = largest(logits);
        if (Number.isFinite(best)) continue;
        const received = best === Number.NEGATIVE_INFINITY ? "all are -Infinity" : `received ${best}`;
        throw new MaraError(
            "GUIDE_FAILED",
            `Expected numbers, or -Infinity for some, as the logits that a guide changes but ${received}`
        );
    }
}

/** Tells every guide. The first failure of each is told as a warning, because the text goes on without it. */
export function tellGuides(guides: readonly Guide[], tell: (guide: Guide) => unknown): void {
    for (const guide of guides) quietly(guide, "A guide", () => tell(guide));
}

/** Tells every guide that follows candidates which one is tried behind the text. */
export function tellTried(guides: readonly Guide[], text: GuidedText, token: number): void {
    const following = guides.filter(({trying}) => trying !== undefined);
    if (following.length === 0) return;
    const tried = {...text, tokens: [...text.tokens, token as Token]};
    tellGuides(following, (guide) => guide.trying?.(tried));
}
