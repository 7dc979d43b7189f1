/**
 * A run on disk. `config.json` is written once. Logs (`metrics.jsonl` and others) grow by whole lines. `checkpoint.json` is the
 * manifest: it names, with length and hash, the immutable files in `checkpoint/` that make up the state, and says how much of each
 * log belongs to it. Every file is written beside and renamed, the manifest last. So after any interruption the last manifest
 * and all that it names are whole. `open` cuts off whatever no manifest names: lines and files written after the checkpoint.
 */
import {createHash} from "node:crypto";
import {mkdir, open, readdir, readFile, rm} from "node:fs/promises";
import {join} from "node:path";
import {z} from "zod";
import {writeWhole} from "../../agent/agent-file.js";
import {MaraError} from "../../errors.js";
import {lockFile, lockRun} from "../../run-lock.js";
import {seal, unseal} from "../../sealed.js";
import {Log} from "./log.js";

const contentSchema = z.object({bytes: z.int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/)});
/** A file in `checkpoint/`. */
const blobSchema = contentSchema.extend({name: z.string().regex(/^[\w-]+\.bin$/)});
type Blob = z.infer<typeof blobSchema>;

const logNames = ["metrics", "samples", "responses", "pairs"] as const;
export type LogName = (typeof logNames)[number];

const manifestSchema = z.object({
    version: z.literal(2),
    /** The training's own state; plain data. */
    state: z.unknown(),
    /** Replaced by each checkpoint. */
    files: z.record(z.string(), blobSchema),
    /** Files that are only ever added to. */
    segments: z.array(blobSchema),
    logs: z.partialRecord(z.enum(logNames), contentSchema)
});
type Manifest = z.infer<typeof manifestSchema>;

const configFile = "config.json";
const manifestFile = "checkpoint.json";
/** Written when a run is complete. */
export const agentFile = "agent.safetensors";
const blobFolder = "checkpoint";
/** The unfinished configuration that `writeWhole` leaves where the process was killed. */
const unfinishedConfig = /^config\.json\.[0-9a-f]+\.tmp$/;

export class RunDirectory {
    readonly path: string;
    #manifest: Manifest;
    #pending: Blob[] = [];
    readonly #logs: Readonly<Record<LogName, Log>>;
    readonly #unlock: () => void;
    /** Never reused within a run, so that a file named by a manifest is never written over. */
    #serial: number;

    private constructor(path: string, manifest: Manifest, unlock: () => void) {
        this.path = path;
        this.#manifest = manifest;
        const logs = logNames.map((name) => [name, new Log(join(path, `${name}.jsonl`))]);
        this.#logs = Object.fromEntries(logs) as Record<LogName, Log>;
        this.#unlock = unlock;
        this.#serial = 0;
    }

    /**
     * @throws MaraError RUN_DIRECTORY if there is something in the folder already; RUN_BUSY, WRITE_FAILED
     */
    static async create(path: string, config: object): Promise<RunDirectory> {
        await RunDirectory.requireEmpty(path);
        const unlock = await lockRun(path);
        try {
            // Another process may have been quicker.
            await RunDirectory.requireEmpty(path);
            await mkdir(join(path, blobFolder), {recursive: true});
            await writeWhole(join(path, configFile), sealed(config));
            return new RunDirectory(path, emptyManifest(), unlock);
        } catch (error) {
            unlock();
            if (error instanceof MaraError) throw error;
            throw new MaraError("WRITE_FAILED", `Could not make ${path}: ${reasonOf(error)}`, {cause: error});
        }
    }

    /**
     * Checks that the folder is empty. Files of a process that ended before it had written the configuration do not count.
     * @throws MaraError RUN_DIRECTORY if there is something in the folder already
     */
    static async requireEmpty(path: string): Promise<void> {
        const list = (folder: string) =>
            readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
                if (error.code === "ENOENT") return [];
                throw new MaraError("RUN_DIRECTORY", `${path} is no folder that can be read. Give another directory.`, {
                    cause: error
                });
            });
        const found = (await list(path)).filter((name) => name !== lockFile && !unfinishedConfig.test(name));
        if (found.length === 0) return;
        if (found.join() === blobFolder && (await list(join(path, blobFolder))).length === 0) return;
        const isInterrupted = found.includes(manifestFile) && !found.includes(agentFile);
        const run = isInterrupted
            ? "holds a run that was interrupted. Go on with it (resume: true, mara train --resume)"
            : "holds a run already. Resume it";
        const what = found.includes(configFile) ? `${run}, or give` : "is not empty. Give";
        throw new MaraError("RUN_DIRECTORY", `${path} ${what} another directory.`);
    }

    /**
     * The configuration that `create` was given.
     * @throws MaraError RUN_DIRECTORY if there is no run, RUN_DAMAGED
     */
    static async readConfig<Config>(path: string, schema: z.ZodType<Config>): Promise<Config> {
        const config = await readSealed(path, configFile, schema);
        if (config !== undefined) return config;
        throw new MaraError("RUN_DIRECTORY", `There is no run in ${path} to go on with: it has no ${configFile}.`);
    }

    /**
     * The run in the folder, as of its last checkpoint. What was written later is removed.
     * @throws MaraError RUN_DAMAGED if a file of it is not as it was written; RUN_BUSY, WRITE_FAILED
     */
    static async open(path: string): Promise<RunDirectory> {
        const unlock = await lockRun(path);
        try {
            const manifest = (await readSealed(path, manifestFile, manifestSchema)) ?? emptyManifest();
            const run = new RunDirectory(path, manifest, unlock);
            await run.#rewind();
            return run;
        } catch (error) {
            unlock();
            throw error;
        }
    }

    /** The last checkpoint's state; undefined before the first. */
    get state(): unknown {
        return this.#manifest.state;
    }

    file(name: string): string {
        return join(this.path, name);
    }

    /** Adds lines to a log. They belong to the run once `commit` has been called. @throws MaraError WRITE_FAILED */
    async append(log: LogName, rows: readonly object[]): Promise<void> {
        if (rows.length === 0) return;
        await this.#writing(`${log}.jsonl`, () => this.#logs[log].append(rows));
    }

    /** All lines of a log. @throws MaraError RUN_DAMAGED */
    async rows<Row>(log: LogName): Promise<Row[]> {
        return await this.#reading(`${log}.jsonl`, () => this.#logs[log].rows<Row>());
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

    /** True if the last checkpoint has a file of this name. */
    hasFile(name: string): boolean {
        return this.#manifest.files[name] !== undefined;
    }

    /**
     * Makes everything written so far the state to resume from. `files` take the place of those of the same name. The first
     * `oldSegments` segments are removed.
     * @throws MaraError WRITE_FAILED: then the checkpoint before is still there, whole
     */
    async commit(state: object, files: Record<string, Uint8Array> = {}, oldSegments = 0): Promise<void> {
        for (const name of logNames) await this.#writing(`${name}.jsonl`, () => this.#logs[name].sync());
        const written: Record<string, Blob> = {...this.#manifest.files};
        for (const [name, bytes] of Object.entries(files)) written[name] = await this.#writeBlob(name, bytes);
        const all = [...this.#manifest.segments, ...this.#pending];
        const segments = all.slice(oldSegments);
        const logs = Object.fromEntries(logNames.map((name) => [name, this.#logs[name].end]));
        const next: Manifest = {version: 2, state, files: written, segments, logs};
        await this.#syncFolder(blobFolder);
        await writeWhole(this.file(manifestFile), sealed(next));
        await this.#syncFolder(".");
        const before = this.#manifest;
        this.#manifest = next;
        this.#pending = [];
        const replaced = Object.entries(before.files).filter(([name, blob]) => written[name]?.name !== blob.name);
        for (const {name} of [...replaced.map(([, blob]) => blob), ...all.slice(0, oldSegments)])
            await rm(this.file(join(blobFolder, name)), {force: true});
    }

    /** Closes the logs, and leaves the folder to others. */
    async close(): Promise<void> {
        for (const log of Object.values(this.#logs)) await log.close();
        this.#unlock();
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
        for (const name of logNames)
            await this.#reading(`${name}.jsonl`, () => this.#logs[name].rewind(this.#manifest.logs[name]));
        const blobs = [...Object.values(this.#manifest.files), ...this.#manifest.segments];
        const named = new Set(blobs.map(({name}) => name));
        await this.#reading(blobFolder, async () => {
            await mkdir(this.file(blobFolder), {recursive: true});
            for (const name of await readdir(this.file(blobFolder)))
                if (!named.has(name)) await rm(this.file(join(blobFolder, name)), {force: true});
        });
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

    async #reading<T>(name: string, read: () => Promise<T>): Promise<T> {
        try {
            return await read();
        } catch (error) {
            throw damaged(this.path, name, reasonOf(error), error);
        }
    }

    async #writing<T>(name: string, write: () => Promise<T>): Promise<T> {
        try {
            return await write();
        } catch (error) {
            throw new MaraError("WRITE_FAILED", `Could not write ${this.file(name)}: ${reasonOf(error)}`, {
                cause: error
            });
        }
    }
}

function emptyManifest(): Manifest {
    return {version: 2, state: undefined, files: {}, segments: [], logs: {}};
}

function sealed(value: object): Uint8Array {
    return Buffer.from(`${seal(value, 2)}\n`);
}

/** Undefined if there is no such file. @throws MaraError RUN_DAMAGED */
async function readSealed<T>(path: string, file: string, schema: z.ZodType<T>): Promise<T | undefined> {
    try {
        return unseal(await readFile(join(path, file), "utf8"), schema);
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw damaged(path, file, reasonOf(error), error);
    }
}

function damaged(run: string, file: string, what: string, cause?: unknown): MaraError {
    return new MaraError(
        "RUN_DAMAGED",
        `The run in ${run} cannot go on: ${file} ${what}. Start a new run in another directory.`,
        {cause}
    );
}

/** Node's message without the call and path that follow. */
function reasonOf(error: unknown): string {
    return (error as Error).message.split(", ")[0] as string;
}

function hash(bytes: Uint8Array): string {
    return createHash("sha256").update(bytes).digest("hex");
}
