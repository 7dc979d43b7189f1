/** Records what a run reads besides its options, so that a run is not taken up again with other input. */
import {createHash} from "node:crypto";
import {resolve} from "node:path";
import {MaraError, type MaraErrorCode} from "../../errors.js";
import {fileHash} from "../../file-hash.js";

export interface InputFile {
    /** Absolute path; null where values were given instead of a file. */
    path: string | null;
    sha256: string;
}

export type InputName = "model" | "prompts" | "pairs" | "warmStart";
export type InputFiles = Partial<Record<InputName, InputFile>>;

/** @throws MaraError `code` if the file cannot be read */
export async function fileInput(path: string, code: MaraErrorCode): Promise<InputFile> {
    return {path: resolve(path), sha256: await fileHash(path, code)};
}

export function valueInput(value: unknown): InputFile {
    return {path: null, sha256: createHash("sha256").update(JSON.stringify(value)).digest("hex")};
}

export function bytesInput(bytes: readonly Uint8Array[]): InputFile {
    const sum = createHash("sha256");
    for (const part of bytes) sum.update(part);
    return {path: null, sha256: sum.digest("hex")};
}

const names: Record<InputName, string> = {
    model: "model",
    prompts: "prompts",
    pairs: "pairs",
    warmStart: "agent to start from"
};

/** @throws MaraError RUN_CHANGED naming the input that is not what the run was started with */
export function requireSame(name: InputName, saved: InputFile | undefined, found: InputFile): void {
    if (saved?.sha256 === found.sha256) return;
    const what = found.path === null ? `The ${names[name]}` : `The ${names[name]} ${found.path}`;
    throw new MaraError(
        "RUN_CHANGED",
        saved === undefined
            ? `The run was started without ${names[name]}. Leave the option out, or start a new run in another directory.`
            : `${what} changed since the run was started (SHA-256 ${saved.sha256.slice(0, 12)}… then, ${found.sha256.slice(0, 12)}… now). ` +
                  "Restore it, or start a new run in another directory."
    );
}
