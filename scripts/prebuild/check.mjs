// Checks a finished file without loading it: its architecture, what it needs of the system, and that it is stripped.
import {execFileSync, spawnSync} from "node:child_process";
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {floors, napiVersion} from "./targets.mjs";
import {zigInstall} from "./zig.mjs";

const {symbols} = createRequire(import.meta.url)("node-api-headers");
const napi = symbols[`v${napiVersion}`];
const napiNames = new Set([...napi.js_native_api_symbols, ...napi.node_api_symbols]);

/**
 * Checks as much as this machine has the tools for.
 *
 * @param options.floors whether the file must need nothing newer than `floors`
 * @returns problems, empty if nothing is wrong, and what was not checked, each with what would enable it
 */
export function check(path, target, options) {
    const problems = [];
    const notChecked = [];
    if (finds("file")) {
        const kind = output("file", "--brief", path);
        if (!target.file.test(kind)) problems.push(`file(1) says "${kind}", not ${target.file}`);
    } else notChecked.push("the kind of the prebuilt file (Debian: apt-get install file)");
    for (const name of napiImports(path))
        if (!napiNames.has(name)) problems.push(`${name} is not part of N-API ${napiVersion}`);
    // The checks below need objdump, which other systems lack.
    if (process.platform !== "linux" || target.libraries === undefined) return {problems, notChecked};
    if (!finds("objdump"))
        notChecked.push("the prebuilt file's libraries and symbols (Debian: apt-get install binutils)");
    else if (target.platform !== "linux") problems.push(...windowsProblems(path, target));
    else {
        problems.push(...elfProblems(path, target));
        if (options.floors) problems.push(...floorProblems(path, target));
        else notChecked.push(`which versions of libraries the prebuilt file needs (needs zig: ${zigInstall})`);
    }
    return {problems, notChecked};
}

function floorProblems(path, target) {
    const problems = new Set();
    const symbolTable = output("objdump", "-T", path);
    for (const [version, family, number] of symbolTable.matchAll(/\b(GLIBC|GLIBCXX|CXXABI)_([0-9.]+)/g)) {
        if (target.libc === "musl") problems.add(`needs ${version}, which musl does not have`);
        else if (isLater(number, floors[family])) {
            const line = symbolTable.split("\n").find((line) => line.includes(version));
            problems.add(`needs ${version}, beyond ${family}_${floors[family]}: ${line.trim().split(/\s+/).at(-1)}`);
        }
    }
    return problems;
}

function elfProblems(path, target) {
    const problems = foreignLibraries(path, /NEEDED +(\S+)/g, target);
    const symbolTable = output("objdump", "-T", path);
    const exported = symbolTable.split("\n").filter((line) => /^[0-9a-f]+ [gwu]/.test(line) && !line.includes("*UND*"));
    const names = exported
        .map((line) => line.trim().split(/\s+/).at(-1))
        .filter((name) => !/^n(api|ode_api)_/.test(name));
    if (names.length > 0) problems.push(`exports more than its entry points: ${names.join(", ")}`);
    return problems;
}

function windowsProblems(path, target) {
    const problems = foreignLibraries(path, /DLL Name: (\S+)/g, target);
    if (!output("objdump", "-t", path).includes("no symbols")) problems.push("is not stripped");
    return problems;
}

function foreignLibraries(path, pattern, {libraries}) {
    const needed = [...output("objdump", "-p", path).matchAll(pattern)].map((match) => match[1].toLowerCase());
    const isKnown = (name) => libraries.some((known) => (known instanceof RegExp ? known.test(name) : known === name));
    return needed.filter((name) => !isKnown(name)).map((name) => `needs the library ${name}`);
}

/** Imported names stand in every kind of file as plain text between zero bytes. */
function napiImports(path) {
    const text = readFileSync(path, "latin1");
    const names = [...text.matchAll(/(?<![\w.])_?((?:napi|node_api)_[a-z_]+)\0/g)].map((match) => match[1]);
    return new Set(names.filter((name) => !/^(napi_register_module_v|node_api_module_get_api_version_v)$/.test(name)));
}

function isLater(version, floor) {
    const [a, b] = [version, floor].map((text) => text.split(".").map(Number));
    for (let i = 0; i < Math.max(a.length, b.length); ++i)
        if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0);
    return false;
}

function finds(command) {
    return spawnSync(command, ["--version"]).status === 0;
}

function output(command, ...args) {
    return execFileSync(command, args, {encoding: "utf8", maxBuffer: 2 ** 26}).trim();
}
