import {expect} from "vitest";
import {MaraError, type MaraErrorCode} from "../../lib/errors.js";

/** Code and message of the MaraError that `action` throws or rejects with. */
export async function failure(action: () => unknown): Promise<{code: MaraErrorCode; message: string}> {
    try {
        await action();
    } catch (error) {
        expect(error).toBeInstanceOf(MaraError);
        const {code, message} = error as MaraError;
        return {code, message};
    }
    throw new Error("Nothing was thrown");
}
