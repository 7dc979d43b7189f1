/** A call that is right, and where it may be made wrong. */
import type {LlamaContext, LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import type * as mara from "../../lib/index.js";
import {
    boolean,
    empty,
    func,
    functions,
    isString,
    list,
    maybe,
    nothing,
    oneOf,
    type Takes,
    text,
    whole,
    within
} from "./values.js";

export interface Target {
    call: (...args: never[]) => unknown;
    /** Arguments with which the call would be right. */
    args: unknown[];
    /** By the argument's index, or a path into it such as "1.candidates.topK". */
    takes: Record<string, Takes>;
    /** Places that refuse unknown fields. */
    strict?: string[];
}

/** What calls are made with. */
export interface Things {
    model: LlamaModel;
    agent: mara.MaraAgent;
    plainContext: LlamaContext;
    aligned: Awaited<ReturnType<typeof mara.createAlignedContext>>;
    sequence: LlamaContextSequence;
    reward: mara.Reward;
    folder: string;
}

export type Targets = Record<string, (things: Things) => Target>;

export const candidates = (at: string): Record<string, Takes> => ({
    [at]: maybe(empty),
    [`${at}.topK`]: maybe(whole(1, 256)),
    [`${at}.topP`]: maybe(within(Number.MIN_VALUE, 1)),
    [`${at}.minP`]: maybe(within(0, 1)),
    [`${at}.temperature`]: maybe(within(Number.MIN_VALUE, Number.MAX_VALUE))
});

export const settings = (at: string): Record<string, Takes> => ({
    [`${at}.judge`]: maybe(func),
    [`${at}.combine`]: maybe(nothing),
    [`${at}.agents`]: maybe(nothing),
    [`${at}.guides`]: maybe(list),
    [`${at}.guides.0`]: nothing,
    [`${at}.guides.0.timeoutMs`]: maybe(within(Number.MIN_VALUE, 2 ** 31 - 1)),
    ...candidates(`${at}.candidates`),
    [`${at}.strategy`]: maybe(nothing),
    [`${at}.order`]: maybe(nothing),
    [`${at}.threshold`]: maybe(within(0, 1)),
    [`${at}.fallbackIndex`]: maybe(whole(0)),
    [`${at}.seed`]: maybe(whole(0, 2 ** 32 - 1)),
    [`${at}.enabled`]: maybe(boolean)
});

export const waves = (value: unknown) => Array.isArray(value) && value.length > 0 && [...value].every(whole(1, 256));
export const finite = within(-Number.MAX_VALUE, Number.MAX_VALUE);
export const tokens = (value: unknown) => Array.isArray(value) && value.length > 0 && [...value].every(whole(0));
export const answers = ["a", "b"].map((prompt) => ({prompt, response: "c"}));
export const texts = (value: unknown) => Array.isArray(value) && [...value].every(text);
export const cacheType = oneOf(isString, whole(Number.MIN_SAFE_INTEGER));

export function rewardOptions(at: string): Record<string, Takes> {
    return {
        [`${at}.llama`]: maybe(nothing),
        [`${at}.threads`]: maybe(whole(1, 1024)),
        [`${at}.contextSize`]: maybe(whole(8, 1e8)),
        [`${at}.baseDirectory`]: maybe(text),
        [`${at}.moduleTimeoutMs`]: maybe(within(Number.MIN_VALUE, 2 ** 31 - 1)),
        [`${at}.rewards`]: maybe(oneOf(empty, (value) => value === functions)),
        [`${at}.rewards.own`]: oneOf(isString, func),
        [`${at}.judgeQuestion`]: maybe((value) => isString(value) && value !== "")
    };
}

export function bound<Name extends string>(
    of: {[key in Name]: (...args: never[]) => unknown},
    name: Name
): Target["call"] {
    return of[name].bind(of);
}
