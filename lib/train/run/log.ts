/** A file of JSON lines that only grows. A checkpoint records how much of it belongs to it. */
import {createHash, type Hash} from "node:crypto";
import {createReadStream} from "node:fs";
import {type FileHandle, open, readFile, stat, truncate} from "node:fs/promises";

/** A checkpoint's record of the log. */
interface LogEnd {
    bytes: number;
    sha256: string;
}

export class Log {
    readonly #path: string;
    #bytes = 0;
    #sum: Hash = createHash("sha256");
    #handle: FileHandle | undefined;

    constructor(path: string) {
        this.#path = path;
    }

    get end(): LogEnd {
        return {bytes: this.#bytes, sha256: this.#sum.copy().digest("hex")};
    }

    /**
     * Cuts off what came after `end`.
     * @throws Error whose message is fit to follow the file's name, if what came before is not there or has changed
     */
    async rewind(end: LogEnd | undefined): Promise<void> {
        const info = await stat(this.#path).catch((error: NodeJS.ErrnoException) => {
            if (error.code === "ENOENT") return undefined;
            throw error;
        });
        if (info !== undefined && !info.isFile()) throw new Error("is not a regular file");
        const [size, wanted] = [info?.size ?? 0, end?.bytes ?? 0];
        if (size < wanted) throw new Error(`has ${size} bytes where ${wanted} were written`);
        const sum = createHash("sha256");
        if (wanted > 0) for await (const chunk of createReadStream(this.#path, {end: wanted - 1})) sum.update(chunk);
        this.#bytes = wanted;
        this.#sum = sum;
        if (end !== undefined && this.end.sha256 !== end.sha256) throw new Error("is not as it was written");
        if (size > wanted) await truncate(this.#path, wanted);
    }

    async append(rows: readonly object[]): Promise<void> {
        const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
        this.#handle ??= await open(this.#path, "a");
        await this.#handle.appendFile(bytes);
        this.#bytes += bytes.length;
        this.#sum.update(bytes);
    }

    /** @throws Error whose message is fit to follow the file's name */
    async rows<Row>(): Promise<Row[]> {
        const text = await readFile(this.#path, "utf8").catch((error: NodeJS.ErrnoException) => {
            if (error.code === "ENOENT") return "";
            throw error;
        });
        return text
            .split("\n")
            .slice(0, -1)
            .map((line, i) => {
                try {
                    return JSON.parse(line) as Row;
                } catch {
                    throw new Error(`has a line ${i + 1} that is not JSON`);
                }
            });
    }

    async sync(): Promise<void> {
        await this.#handle?.sync();
    }

    async close(): Promise<void> {
        await this.#handle?.close();
        this.#handle = undefined;
    }
}
