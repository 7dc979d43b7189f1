import {MaraError, type MaraErrorCode} from "../../lib/index.js";

/**
 * "accepted", or the code and message of a refusal, in which `path` is left out.
 * @throws whatever was thrown, unless it is a MaraError with one of the codes and a message of bounded length
 */
export async function outcomeOf(
    codes: readonly MaraErrorCode[],
    path: string,
    act: () => Promise<unknown>
): Promise<string> {
    try {
        await act();
        return "accepted";
    } catch (error) {
        if (!(error instanceof MaraError) || !codes.includes(error.code)) throw error;
        const message = error.message.replaceAll(path, "");
        if (message.length > 2000) throw new Error(`A message of ${message.length} characters`, {cause: error});
        return `${error.code}:${message}`;
    }
}
