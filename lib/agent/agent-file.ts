/** Agent files on disk: bounded reads, recognition of the format, writes that leave either the old file or the new one. */
import {randomBytes} from "node:crypto";
import {type FileHandle, open, realpath, rename, rm, stat} from "node:fs/promises";
import {MaraError} from "../errors.js";
import {looksLikeSafetensors, readSafetensors} from "./safetensors.js";
import {maxAgentBytes, type Tensor} from "./tensor.js";
import {looksLikePickle, looksLikeZip, readTorch} from "./torch.js";

export interface AgentFile {
    tensors: Map<string, Tensor>;
    metadata: Record<string, string>;
}

/**
 * The bytes of a file of at most 1 GiB.
 * @throws MaraError AGENT_NOT_FOUND if it is missing, unreadable or no regular file; AGENT_FORMAT if it is larger
 */
export async function readAgentBytes(path: string): Promise<Uint8Array> {
    let handle: FileHandle | undefined;
    try {
        // The file is checked before it is opened, because opening a named pipe would wait for its writer.
        if (!(await stat(path)).isFile()) throw new MaraError("AGENT_NOT_FOUND", "It is not a regular file");
        handle = await open(path, "r");
        const {size} = await handle.stat();
        if (size > maxAgentBytes) {
            throw new MaraError(
                "AGENT_FORMAT",
                `A file of ${size} bytes is no agent: the limit is ${maxAgentBytes} bytes`
            );
        }
        return await readWhole(handle, size);
    } catch (error) {
        if (error instanceof MaraError) throw error;
        throw new MaraError("AGENT_NOT_FOUND", reason(error), {cause: error});
    } finally {
        await handle?.close();
    }
}

/** The first `size` bytes, in as few reads as the system allows: `readFile` would take one for each 512 KiB. */
async function readWhole(handle: FileHandle, size: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(size);
    for (let end = 0; end < size; ) {
        const {bytesRead} = await handle.read(bytes, end, size - end, end);
        // The file was cut meanwhile.
        if (bytesRead === 0) return bytes.subarray(0, end);
        end += bytesRead;
    }
    return bytes;
}

/**
 * Reads .safetensors or .pth bytes, told apart by their first bytes.
 * @throws MaraError AGENT_FORMAT, AGENT_UNSAFE_PICKLE, AGENT_TENSORS
 */
export async function parseAgentBytes(bytes: Uint8Array): Promise<AgentFile> {
    if (bytes.length === 0) throw new MaraError("AGENT_FORMAT", "The file is empty");
    if (looksLikeZip(bytes)) return {tensors: await readTorch(bytes), metadata: {}};
    if (looksLikeSafetensors(bytes)) return readSafetensors(bytes);
    if (looksLikePickle(bytes)) {
        throw new MaraError(
            "AGENT_FORMAT",
            "It is a bare pickle, the format of torch.save before PyTorch 1.6. " +
                "Save it again with a newer PyTorch: torch.save(torch.load(path, weights_only=True), path)"
        );
    }
    throw new MaraError(
        "AGENT_FORMAT",
        "It is neither a .safetensors file (no JSON header at byte 8) nor a .pth file (no zip archive)"
    );
}

/**
 * Writes beside `path`, then renames: a reader sees the old file or the new one, and a failure leaves nothing behind. A symbolic link stays, and
 * its target is replaced. Devices, pipes and folders are refused.
 * @throws MaraError WRITE_FAILED
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
    let temporary: string | undefined;
    let handle: FileHandle | undefined;
    try {
        const target = await replaceable(path);
        temporary = `${target}.${randomBytes(6).toString("hex")}.tmp`;
        handle = await open(temporary, "wx");
        await handle.writeFile(bytes);
        await handle.sync();
        await handle.close();
        await rename(temporary, target);
    } catch (error) {
        await handle?.close().catch(() => undefined);
        if (handle !== undefined && temporary !== undefined) await rm(temporary, {force: true}).catch(() => undefined);
        throw new MaraError("WRITE_FAILED", `Could not write ${path}: ${reason(error)}`, {cause: error});
    }
}

/** The regular file that `path` leads to, or `path` where nothing is yet. */
async function replaceable(path: string): Promise<string> {
    const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw error;
    });
    if (info === undefined) return path;
    if (!info.isFile()) throw new Error("it is not a regular file");
    return await realpath(path);
}

/** Node's "ENOENT: no such file or directory" without the call and path that follow: the message around it names the path. */
function reason(error: unknown): string {
    return (error as Error).message.split(", ")[0] as string;
}
