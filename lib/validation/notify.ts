import {reasonOf} from "../errors.js";

const failed = new WeakSet<object>();

/**
 * Calls a listener of the caller's. A listener that throws or rejects disturbs nothing: its first failure is told as a
 * warning (`MaraWarning`).
 * @param name what the listener is called in the warning
 */
export function notify<Args extends unknown[]>(
    listener: ((...args: Args) => unknown) | undefined,
    name: string,
    ...args: Args
): void {
    if (listener !== undefined) quietly(listener, name, () => listener(...args));
}

/** Calls a method of the caller's in the same way; the first failure of each `owner` is told. */
export function quietly(owner: object, name: string, act: () => unknown): void {
    const warn = (error: unknown) => {
        if (failed.has(owner)) return;
        failed.add(owner);
        process.emitWarning(`${name} failed, and may go on failing: ${reasonOf(error)}`, "MaraWarning");
    };
    try {
        Promise.resolve(act()).catch(warn);
    } catch (error) {
        warn(error);
    }
}
