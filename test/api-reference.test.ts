/** Every export has a docstring, and the reference that typedoc builds of them is whole. */
import {execFile} from "node:child_process";
import {readFileSync} from "node:fs";
import path from "node:path";
import {promisify} from "node:util";
import {describe, expect, it} from "vitest";
import {root} from "./cli/helpers.js";
import {hasTypedoc} from "./support/typedoc.js";

const run = promisify(execFile);
const {entryPoints} = JSON.parse(readFileSync(path.join(root, "typedoc.json"), "utf8")) as {entryPoints: string[]};
const {exports: subpaths} = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));

interface Exported {
    name: string;
    /** Where it is declared. */
    file: string;
}

/** What the file exports, of its own and of others. */
function exportsOf(file: string): Exported[] {
    const text = readFileSync(file, "utf8");
    const own = [...text.matchAll(/^export (?!type \{|\{|\*)(?:abstract |async )*\w+\*? (\w+)/gm)];
    const others = [...text.matchAll(/export (?:type )?\{([^}]+)\} from "(.+?)\.js"/g)].flatMap(([, names, from]) => {
        const there = exportsOf(path.join(path.dirname(file), `${from}.ts`));
        return (names as string).split(",").map((listed) => {
            const name = listed.trim().replace(/^type /, "");
            const found = there.find((one) => one.name === name);
            if (found === undefined) throw new Error(`${from} does not export ${name}`);
            return found;
        });
    });
    return [...own.map(([, name]) => ({name: name as string, file})), ...others];
}

it("typedoc is given every file that users import", () => {
    const imported = Object.values(subpaths as Record<string, string | {types: string}>).flatMap((target) =>
        typeof target === "string" ? [] : target.types.replace(/^\.\/dist\/(.*)\.d\.ts$/, "lib/$1.ts")
    );
    expect(entryPoints.toSorted()).toEqual(imported.toSorted());
});

describe.each(entryPoints)("%s", (entry) => {
    it("exports nothing without a docstring", () => {
        const all = exportsOf(path.join(root, entry));
        expect(all.length).toBeGreaterThan(1);
        const bare = all.filter(({name, file}) => {
            const text = readFileSync(file, "utf8");
            const [declared] =
                text.match(new RegExp(`(?:\\*/\\n)?^export (?:abstract |async |declare )*\\w+\\*? ${name}\\b`, "m")) ??
                [];
            return declared === undefined || !declared.startsWith("*/");
        });
        expect(bare.map(({name, file}) => `${name} in ${path.relative(root, file)}`)).toEqual([]);
    });
});

it.runIf(hasTypedoc)(
    "typedoc finds nothing to warn of",
    async () => {
        await run(process.execPath, ["scripts/docs-api.mjs", "--emit", "none"], {cwd: root});
    },
    300_000
);
