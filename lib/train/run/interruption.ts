/** Thrown inside a run when its signal fires, to leave whatever is being waited for. */
export class Interruption extends Error {
    override readonly name = "Interruption";
}

/** The promise's result, unless the signal has fired or fires first. A later failure of the promise is ignored. */
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
        // Work that heeds the signal by itself may have failed first.
        throw signal.aborted ? new Interruption("The run was interrupted") : error;
    } finally {
        signal.removeEventListener("abort", listener);
    }
}
