import {invalidArgument} from "../errors.js";

/** Timers take no more than this. */
const maxTimeoutMs = 2 ** 31 - 1;

/** @throws MaraError INVALID_ARGUMENT */
export function requireTimeout(name: string, timeoutMs: unknown): void {
    if (typeof timeoutMs !== "number" || !(timeoutMs > 0 && timeoutMs <= maxTimeoutMs))
        throw invalidArgument(name, `milliseconds above 0 and up to ${maxTimeoutMs}`, timeoutMs);
}

/** What the promise gives, unless that takes longer: then what `late` makes is thrown, and the promise goes on unheeded. */
export async function withinTime<T>(promise: Promise<T>, timeoutMs: number, late: () => Error): Promise<T> {
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
