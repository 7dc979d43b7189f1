import {reasonOf} from "../errors.js";

const failed = new WeakSet<object>();

/**
 * Calls a listener of the caller's. What it throws, or rejects with, disturbs nothing: it is told once for each listener, as a
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

/** The same for a method of the caller's: `owner` is whose failures are told once. */
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
