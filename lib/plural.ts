/** Counts in words. */

/** "12,345" */
export function integer(count: number): string {
    return count.toLocaleString("en-US");
}

/** "1 pair", "2 pairs" */
export function plural(count: number, noun: string): string {
    return `${integer(count)} ${noun}${count === 1 ? "" : "s"}`;
}
