const warned = new Set<string>();

/** A MaraWarning, the first time that its message comes up in this process. */
export function warnOnce(message: string): void {
    if (warned.has(message)) return;
    warned.add(message);
    process.emitWarning(message, "MaraWarning");
}
