/** Lets one process at a time into a run's folder. The lock is the operating system's, so that a crash leaves none behind. */
import {mkdir} from "node:fs/promises";
import {join} from "node:path";
import {MaraError} from "./errors.js";
import {fromNative, native} from "./native.js";

export const lockFile = ".lock";

/**
 * Makes the folder if it is not there, and locks it until the function that is given back is called or the process ends.
 * @throws MaraError RUN_BUSY if it is locked already, by this process or another one; WRITE_FAILED, NATIVE_ADDON
 */
export async function lockRun(folder: string): Promise<() => void> {
    try {
        await mkdir(folder, {recursive: true});
    } catch (error) {
        const reason = (error as Error).message.split(", ")[0];
        throw new MaraError("WRITE_FAILED", `Could not make ${folder}: ${reason}`, {cause: error});
    }
    let unlock: (() => void) | null;
    try {
        unlock = native().lockFile(join(folder, lockFile));
    } catch (error) {
        const failure = fromNative(error);
        if (!(failure instanceof MaraError) || failure.code !== "WRITE_FAILED") throw failure;
        throw new MaraError("WRITE_FAILED", `Could not lock ${folder}: ${failure.message}`, {cause: error});
    }
    if (unlock !== null) return unlock;
    throw new MaraError(
        "RUN_BUSY",
        `Another run is at work in ${folder}. Wait until it has ended, or give another directory.`
    );
}
