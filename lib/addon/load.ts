/** Loads the first addon file that works, and keeps why the others did not. */
import {closeSync, existsSync, fstatSync, openSync, readSync} from "node:fs";
import {createRequire} from "node:module";
import {resolve} from "node:path";
import {explain} from "./advice.js";
import {type AddonFailure, type AddonFile, addonFiles, missing, type Platform, thisPlatform} from "./files.js";

export interface LoadedAddon<Addon> extends AddonFile {
    addon: Addon;
    /** Files that were tried before this one. A CUDA file where no device answers is among them. */
    failures: AddonFailure[];
}

/** Why a CUDA file stays unused on most machines. It is not worth a complaint either. */
export const noDevice = "no CUDA device answers";
const require = createRequire(import.meta.url);

/**
 * @param root the package's folder
 * @throws Error that names every file tried, why it failed and what to do; its lines are for people
 */
export function loadAddon<Addon extends {cudaDevices?(): readonly unknown[]}>(
    root: string,
    {
        platform = thisPlatform(),
        override = process.env.NODE_LLAMA_MARA_PREBUILD
    }: {platform?: Platform; override?: string | undefined} = {}
): LoadedAddon<Addon> {
    const failures: AddonFailure[] = [];
    for (const file of addonFiles(root, platform, override || undefined)) {
        const fail = (reason: string) => void failures.push({...file, reason});
        if (!existsSync(file.path)) {
            if (!file.cuda) fail(missing);
            continue;
        }
        try {
            if (isCutShort(file.path)) throw new Error("file too short: it is cut off");
            // The override may be relative to the current directory.
            const addon = require(resolve(file.path)) as Addon;
            if (!file.cuda || (addon.cudaDevices?.().length ?? 0) > 0) {
                return {...file, addon, failures: failures.filter(({reason}) => reason !== missing)};
            }
            fail(noDevice);
        } catch (error) {
            fail((error as Error).message.split("\n")[0] as string);
        }
    }
    throw new Error(explain(failures, platform, override || undefined));
}

/**
 * True if an ELF file ends before its section headers, which come last. Windows and macOS refuse such a file. Linux maps the missing part
 * and ends the process when it is first touched.
 */
function isCutShort(path: string): boolean {
    const file = openSync(path, "r");
    try {
        const header = Buffer.alloc(64);
        const length = readSync(file, header, 0, header.length, 0);
        if (header.toString("latin1", 0, 4) !== "\x7fELF") return false;
        const end = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60);
        return length < header.length || fstatSync(file).size < end;
    } finally {
        closeSync(file);
    }
}
