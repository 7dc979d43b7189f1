/** The files that a worker may open, by SHA-256: what comes over the wire names hashes, never paths. */
import {readdir, stat} from "node:fs/promises";
import {basename, join, resolve} from "node:path";
import {invalidArgument, MaraError} from "../errors.js";
import {fileInput} from "../train/run/inputs.js";
import type {WorkerDescription} from "./payloads.js";

interface KnownFile {
    path: string;
    sha256: string;
    bytes: number;
    /** Milliseconds since 1970. */
    changed: number;
    module: boolean;
}

export class WorkerFiles {
    readonly #files: KnownFile[];

    private constructor(files: KnownFile[]) {
        this.#files = files;
    }

    /**
     * Reads every model and score head below a folder; modules, which are code, only where they are allowed.
     * @throws MaraError INVALID_ARGUMENT if it is no folder
     */
    static async open(folder: string, allowModules: boolean): Promise<WorkerFiles> {
        const root = resolve(folder);
        const names = await readdir(root, {recursive: true}).catch(() => {
            throw invalidArgument("models", "a folder that can be read", folder);
        });
        const kinds = allowModules ? /\.(?:gguf|safetensors|[cm]?js)$/i : /\.(?:gguf|safetensors)$/i;
        const files: KnownFile[] = [];
        for (const name of names.sort()) {
            const path = join(root, name);
            if (!kinds.test(name) || !(await stat(path).catch(() => undefined))?.isFile()) continue;
            files.push(await known(path));
        }
        return new WorkerFiles(files);
    }

    get described(): WorkerDescription["files"] {
        return this.#files.map(({path, sha256, bytes, module}) => ({sha256, name: basename(path), bytes, module}));
    }

    has(sha256: string, module: boolean): boolean {
        return this.#files.some((file) => file.sha256 === sha256 && file.module === module);
    }

    /**
     * The path of a file. One that was written over since it was read is read again.
     * @throws MaraError MODEL_NOT_FOUND
     */
    async path(sha256: string, module = false): Promise<string> {
        for (const file of this.#files.filter((each) => each.sha256 === sha256 && each.module === module)) {
            const info = await stat(file.path).catch(() => undefined);
            if (info?.size === file.bytes && info.mtimeMs === file.changed) return file.path;
            if (info?.isFile()) Object.assign(file, await known(file.path));
            else this.#files.splice(this.#files.indexOf(file), 1);
            if (file.sha256 === sha256 && info !== undefined) return file.path;
        }
        const what = module ? "allowed module" : "file";
        throw new MaraError("MODEL_NOT_FOUND", `This worker has no ${what} with SHA-256 ${sha256}.`);
    }
}

async function known(path: string): Promise<KnownFile> {
    const {size, mtimeMs} = await stat(path);
    const {sha256} = await fileInput(path, "MODEL_NOT_FOUND");
    return {path, sha256, bytes: size, changed: mtimeMs, module: /\.[cm]?js$/i.test(path)};
}
