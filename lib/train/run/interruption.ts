/** Thrown inside a run when its signal fires, to leave whatever is being waited for. */
export class Interruption extends Error {
    override readonly name = "Interruption";
}

/** The promise's result, unless the signal has fired or fires first. The promise goes on; its failure is nobody's then. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (signal === undefined) return await promise;
    promise.catch(() => undefined);
    let listener = () => {};
    const aborted = new Promise<never>((_, reject) => {
        listener = () => reject(new Interruption("The run was interrupted"));
        if (signal.aborted) listener();
        else signal.addEventListener("abort", listener, {once: true});
    });
    try {
        return await Promise.race([aborted, promise]);
    } catch (error) {
        // What heeds the signal by itself may have been first.
        throw signal.aborted ? new Interruption("The run was interrupted") : error;
    } finally {
        signal.removeEventListener("abort", listener);
    }
}
