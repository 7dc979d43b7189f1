import {constants, type FileHandle, open} from "node:fs/promises";

/**
 * Opens a regular file for reading; never waits, as opening a named pipe would.
 * @throws Error whose message is fit to follow the path: "ENOENT: no such file or directory", "it is not a regular file"
 */
export async function openRegularFile(path: string): Promise<FileHandle> {
    let handle: FileHandle | undefined;
    try {
        handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
        if ((await handle.stat()).isFile()) return handle;
    } catch (error) {
        await handle?.close();
        throw new Error((error as Error).message.split(", ")[0], {cause: error});
    }
    await handle.close();
    throw new Error("it is not a regular file");
}
