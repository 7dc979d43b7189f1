/** The texts of the warnings that the process emits meanwhile. */
export async function warningsOf(act: () => Promise<unknown>): Promise<string[]> {
    const warnings: string[] = [];
    const listen = ({message}: Error) => void warnings.push(message);
    process.on("warning", listen);
    try {
        await act();
        await new Promise(setImmediate);
    } finally {
        process.off("warning", listen);
    }
    return warnings;
}
