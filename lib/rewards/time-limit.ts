import {z} from "zod";

/** Timers take no more than this. */
export const maxTimeoutMs = 2 ** 31 - 1;

const expected = `milliseconds above 0 and up to ${maxTimeoutMs}`;

export const timeoutMs = z.number(expected).gt(0, expected).max(maxTimeoutMs, expected);

/** True for whatever `await` would wait for. */
export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
    return typeof (value as PromiseLike<T> | null | undefined)?.then === "function";
}

/** Gives the promise's result. If that takes too long, the error of `late` is thrown, and the promise's later result is ignored. */
export async function withinTime<T>(promise: PromiseLike<T>, timeoutMs: number, late: () => Error): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(late()), timeoutMs);
    });
    try {
        return await Promise.race([promise, limit]);
    } finally {
        clearTimeout(timer);
    }
}
