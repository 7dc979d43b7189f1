/** Real addon files, broken in the ways that files get broken. */
import {readFileSync} from "node:fs";
import {loadedAddon} from "../../lib/native.js";

export const realPath = loadedAddon().path;
export const real = readFileSync(realPath);

/** The machine field of an ELF header, changed to one that this is not. */
export function ofAnotherMachine(): Buffer {
    const copy = Buffer.from(real);
    const [x64, arm64] = [62, 183];
    copy.writeUInt16LE(process.arch === "x64" ? arm64 : x64, 18);
    return copy;
}

/** A file that asks for a glibc of the future: one version's name, and the hash that goes with it. */
export function ofNewerGlibc(): Buffer {
    const copy = Buffer.from(real);
    const name = /GLIBC_2[.\d]+/.exec(copy.toString("latin1"))?.[0] as string;
    const future = name.replace("_2", "_9");
    const hash = Buffer.alloc(4);
    hash.writeUInt32LE(elfHash(name));
    const at = copy.indexOf(hash);
    if (at < 0) throw new Error(`${realPath} does not ask for ${name}`);
    copy.writeUInt32LE(elfHash(future), at);
    copy.write(future, copy.indexOf(`\0${name}\0`) + 1, "latin1");
    return copy;
}

/** The hash function of the System V ABI. */
function elfHash(name: string): number {
    let hash = 0;
    for (const character of Buffer.from(name)) {
        hash = hash * 16 + character;
        const high = Math.floor(hash / 2 ** 28) & 15;
        hash = ((hash % 2 ** 28) ^ (high << 4)) >>> 0;
    }
    return hash;
}
