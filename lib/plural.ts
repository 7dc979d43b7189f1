/** Counts in words. */

/** "12,345" */
export function formatInteger(count: number): string {
    return count.toLocaleString("en-US");
}

/** "1 pair", "2 pairs" */
export function plural(count: number, noun: string): string {
    return `${formatInteger(count)} ${noun}${count === 1 ? "" : "s"}`;
}
