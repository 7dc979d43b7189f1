import {createHash} from "node:crypto";
import {createReadStream} from "node:fs";
import {stat} from "node:fs/promises";
import {pipeline} from "node:stream/promises";
import {MaraError, type MaraErrorCode} from "./errors.js";

/** SHA-256 of a regular file, in hexadecimal. @throws MaraError `code` if it cannot be read */
export async function fileHash(path: string, code: MaraErrorCode): Promise<string> {
    const sum = createHash("sha256");
    try {
        if (!(await stat(path)).isFile()) throw new Error("It is not a regular file");
        await pipeline(createReadStream(path, {highWaterMark: 2 ** 20}), sum);
    } catch (error) {
        throw new MaraError(code, `Could not read ${path}: ${(error as Error).message.split(", ")[0]}`, {cause: error});
    }
    return sum.digest("hex");
}
