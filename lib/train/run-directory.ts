/**
 * A run on disk. `config.json` is written once. Logs (`metrics.jsonl` and others) grow by whole lines. `checkpoint.json` is the
 * manifest: it names, with length and hash, the immutable files in `checkpoint/` that make up the state, and how far each log
 * belongs to it. Every file is written beside and renamed, the manifest last, so whatever is interrupted, the last manifest
 * and all that it names are whole. What no manifest names (lines and files of after the checkpoint) is cut off by `open`.
 */
import {createHash} from "node:crypto";
import {type FileHandle, mkdir, open, readdir, readFile, rm, stat, truncate} from "node:fs/promises";
import {join} from "node:path";
import {writeWhole} from "../agent/agent-file.js";
import {MaraError} from "../errors.js";

/** A file in `checkpoint/`. */
interface Blob {
    name: string;
    bytes: number;
    sha256: string;
}

interface Manifest {
    version: 1;
    /** What the training itself wants to know; plain data. */
    state: unknown;
    /** Replaced by each checkpoint. */
    files: Record<string, Blob>;
    /** Only ever added to. */
    segments: Blob[];
    /** Bytes of each log. */
    logs: Partial<Record<LogName, number>>;
}

const logNames = ["metrics", "samples", "responses", "pairs"] as const;
export type LogName = (typeof logNames)[number];

const configFile = "config.json";
const manifestFile = "checkpoint.json";
const blobFolder = "checkpoint";

export class RunDirectory {
    readonly path: string;
    #manifest: Manifest;
    #pending: Blob[] = [];
    #logs = new Map<LogName, FileHandle>();
    #sizes: Partial<Record<LogName, number>>;
    /** Never reused within a run, so that a file named by a manifest is never written over. */
    #serial: number;

    private constructor(path: string, manifest: Manifest) {
        this.path = path;
        this.#manifest = manifest;
        this.#sizes = {...manifest.logs};
        this.#serial = 0;
    }

    /**
     * @throws MaraError RUN_DIRECTORY if there is something in the folder already; WRITE_FAILED
     */
    static async create(path: string, config: object): Promise<RunDirectory> {
        await RunDirectory.requireEmpty(path);
        try {
            await mkdir(join(path, blobFolder), {recursive: true});
        } catch (error) {
            const reason = (error as Error).message.split(", ")[0];
            throw new MaraError("WRITE_FAILED", `Could not make ${path}: ${reason}`, {cause: error});
        }
        await writeWhole(join(path, configFile), json(config));
        return new RunDirectory(path, emptyManifest());
    }

    /** @throws MaraError RUN_DIRECTORY if there is something in the folder already */
    static async requireEmpty(path: string): Promise<void> {
        const found = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
            if (error.code === "ENOENT") return [];
            throw new MaraError("RUN_DIRECTORY", `${path} is no folder that can be read. Give another directory.`, {
                cause: error
            });
        });
        if (found.length === 0) return;
        const what = found.includes(configFile) ? "holds a run already. Resume it, or give" : "is not empty. Give";
        throw new MaraError("RUN_DIRECTORY", `${path} ${what} another directory.`);
    }

    /**
     * What `create` was given.
     * @throws MaraError RUN_DIRECTORY if there is no run, RUN_DAMAGED
     */
    static async readConfig(path: string): Promise<unknown> {
        const config = await readJson(join(path, configFile));
        if (config !== undefined) return config;
        throw new MaraError("RUN_DIRECTORY", `There is no run in ${path} to go on with: it has no ${configFile}.`);
    }

    /**
     * The run in the folder, as of its last checkpoint. What was written later is removed.
     * @throws MaraError RUN_DAMAGED if a file of it is not as it was written
     */
    static async open(path: string): Promise<RunDirectory> {
        const manifest = (await readJson(join(path, manifestFile))) as Manifest | undefined;
        if (manifest !== undefined && manifest.version !== 1)
            throw damaged(path, manifestFile, "is of another version of this package");
        const run = new RunDirectory(path, manifest ?? emptyManifest());
        await mkdir(join(path, blobFolder), {recursive: true});
        await run.#rewind();
        return run;
    }

    /** The last checkpoint's; undefined before the first. */
    get state(): unknown {
        return this.#manifest.state;
    }

    file(name: string): string {
        return join(this.path, name);
    }

    /** Adds lines to a log. They belong to the run once `commit` has been called. @throws MaraError WRITE_FAILED */
    async append(log: LogName, rows: readonly object[]): Promise<void> {
        if (rows.length === 0) return;
        const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
        await this.#writing(`${log}.jsonl`, async () => {
            const handle = this.#logs.get(log) ?? (await open(this.file(`${log}.jsonl`), "a"));
            this.#logs.set(log, handle);
            await handle.appendFile(bytes);
        });
        this.#sizes[log] = (this.#sizes[log] ?? 0) + bytes.length;
    }

    /** All lines of a log. */
    async rows<Row>(log: LogName): Promise<Row[]> {
        const text = await readFile(this.file(`${log}.jsonl`), "utf8").catch(() => "");
        return text
            .split("\n")
            .filter((line) => line !== "")
            .map((line) => JSON.parse(line) as Row);
    }

    /** Writes a further segment. It belongs to the run once `commit` has been called. @throws MaraError WRITE_FAILED */
    async addSegment(bytes: Uint8Array): Promise<void> {
        this.#pending.push(await this.#writeBlob("segment", bytes));
    }

    /** Segments in the order in which they were added, read one by one. @throws MaraError RUN_DAMAGED */
    async *segments(): AsyncGenerator<Uint8Array> {
        for (const blob of this.#manifest.segments) yield await this.#readBlob(blob);
    }

    /** @throws MaraError RUN_DAMAGED also if there is no such file */
    async readFile(name: string): Promise<Uint8Array> {
        const blob = this.#manifest.files[name];
        if (blob === undefined) throw damaged(this.path, manifestFile, `does not name the file of ${name}`);
        return await this.#readBlob(blob);
    }

    /**
     * Makes everything written so far the state to resume from. `files` take the place of those of the same name. The first
     * `oldSegments` segments are removed.
     * @throws MaraError WRITE_FAILED: then the checkpoint before is still there, whole
     */
    async commit(state: object, files: Record<string, Uint8Array> = {}, oldSegments = 0): Promise<void> {
        for (const [log, handle] of this.#logs) await this.#writing(`${log}.jsonl`, () => handle.sync());
        const written: Record<string, Blob> = {...this.#manifest.files};
        for (const [name, bytes] of Object.entries(files)) written[name] = await this.#writeBlob(name, bytes);
        const all = [...this.#manifest.segments, ...this.#pending];
        const segments = all.slice(oldSegments);
        const next: Manifest = {version: 1, state, files: written, segments, logs: {...this.#sizes}};
        await this.#syncFolder(blobFolder);
        await writeWhole(this.file(manifestFile), json(next));
        await this.#syncFolder(".");
        const before = this.#manifest;
        this.#manifest = next;
        this.#pending = [];
        const replaced = Object.entries(before.files).filter(([name, blob]) => written[name]?.name !== blob.name);
        for (const {name} of [...replaced.map(([, blob]) => blob), ...all.slice(0, oldSegments)])
            await rm(this.file(join(blobFolder, name)), {force: true});
    }

    /** Closes the logs. */
    async close(): Promise<void> {
        for (const handle of this.#logs.values()) await handle.close();
        this.#logs.clear();
    }

    async #writeBlob(role: string, bytes: Uint8Array): Promise<Blob> {
        const name = `${role}-${String(this.#serial++).padStart(6, "0")}.bin`;
        await writeWhole(this.file(join(blobFolder, name)), bytes);
        return {name, bytes: bytes.length, sha256: hash(bytes)};
    }

    async #readBlob({name, bytes, sha256}: Blob): Promise<Uint8Array> {
        const found = await readFile(this.file(join(blobFolder, name))).catch(() => undefined);
        if (found === undefined) throw damaged(this.path, name, "is missing");
        if (found.length !== bytes || hash(found) !== sha256)
            throw damaged(this.path, name, "is not as it was written");
        return found;
    }

    /** Back to the manifest: cuts logs, removes files that it does not name. */
    async #rewind(): Promise<void> {
        for (const log of logNames) {
            const path = this.file(`${log}.jsonl`);
            const wanted = this.#sizes[log] ?? 0;
            const size = (await stat(path).catch(() => undefined))?.size ?? 0;
            if (size < wanted)
                throw damaged(this.path, `${log}.jsonl`, `has ${size} bytes where ${wanted} were written`);
            if (size > wanted) await truncate(path, wanted);
        }
        const blobs = [...Object.values(this.#manifest.files), ...this.#manifest.segments];
        const named = new Set(blobs.map(({name}) => name));
        for (const name of await readdir(this.file(blobFolder)))
            if (!named.has(name)) await rm(this.file(join(blobFolder, name)), {force: true});
        this.#serial = 1 + Math.max(-1, ...[...named].map((name) => Number(/-(\d+)\.bin$/.exec(name)?.[1])));
    }

    async #syncFolder(name: string): Promise<void> {
        // Windows cannot open a folder as a file; a rename there is durable without it.
        if (process.platform === "win32") return;
        await this.#writing(name, async () => {
            const handle = await open(this.file(name), "r");
            try {
                await handle.sync();
            } finally {
                await handle.close();
            }
        });
    }

    async #writing<T>(name: string, write: () => Promise<T>): Promise<T> {
        try {
            return await write();
        } catch (error) {
            throw new MaraError(
                "WRITE_FAILED",
                `Could not write ${this.file(name)}: ${(error as Error).message.split(", ")[0]}`,
                {cause: error}
            );
        }
    }
}

function emptyManifest(): Manifest {
    return {version: 1, state: undefined, files: {}, segments: [], logs: {}};
}

function json(value: object): Uint8Array {
    return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

async function readJson(path: string): Promise<unknown> {
    let text: string;
    try {
        text = await readFile(path, "utf8");
    } catch {
        return undefined;
    }
    try {
        return JSON.parse(text);
    } catch (error) {
        throw new MaraError("RUN_DAMAGED", `${path} is not JSON. Start a new run in another directory.`, {
            cause: error
        });
    }
}

function damaged(run: string, file: string, what: string): MaraError {
    return new MaraError(
        "RUN_DAMAGED",
        `The run in ${run} cannot go on: ${file} ${what}. Start a new run in another directory.`
    );
}

function hash(bytes: Uint8Array): string {
    return createHash("sha256").update(bytes).digest("hex");
}
