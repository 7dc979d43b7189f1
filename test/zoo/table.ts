/**
 * `npm run zoo -- [--continue] [type...]`: runs the zoo's tests with weights of each type (default: all) and writes what they found into
 * docs/compatibility.md, architecture by architecture. `--continue` goes on with what an earlier run left in build/zoo.
 */
import {spawnSync} from "node:child_process";
import {existsSync, mkdirSync, readFileSync, rmSync} from "node:fs";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {parseArgs} from "node:util";
import {writeMarkedTable} from "../support/marked-table.js";
import {architectures} from "./architectures.js";

/** Column, and the tests that it stands for. */
const columns: readonly (readonly [name: string, titles: RegExp])[] = [
    ["Accepting everything is plain", /^writes as a plain context does/],
    ["Also when the context is full", /when the context is full$/],
    ["Lanes, serial, reference", /what the reference gives$/],
    ["Four at once", /^gives each of four/],
    ["Grammar", /grammar/],
    ["Erasing", /erased/]
];

interface Result {
    testResults: {
        assertionResults: {ancestorTitles: string[]; title: string; status: string; failureMessages: string[]}[];
    }[];
}

const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {continue: {type: "boolean", default: false}}
});
const types = positionals.length > 0 ? positionals : ["F32", "F16", "Q8_0", "Q4_0"];
const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = join(root, "build/zoo");
if (!values.continue) rmSync(folder, {recursive: true, force: true});
mkdirSync(folder, {recursive: true});

type Assertion = Result["testResults"][number]["assertionResults"][number];

/** Architectures whose tests share a process, and the results that an interruption loses. */
const together = 8;

function resultsOf(names: readonly string[], type: string): Assertion[] {
    const output = join(folder, `${type}-${Object.keys(architectures).indexOf(names[0] as string)}.json`);
    if (!existsSync(output)) {
        const run = ["vitest", "run", "test/zoo/zoo.test.ts", "--reporter=json", `--outputFile=${output}`];
        const env = {...process.env, MARA_ZOO_TYPE: type, MARA_ZOO_ARCHITECTURES: names.join("|")};
        spawnSync("npx", run, {cwd: root, env, stdio: ["ignore", "ignore", "inherit"]});
    }
    if (!existsSync(output)) {
        console.error(`${type}: the tests ended without results for ${names.join(", ")}`);
        return [];
    }
    const results = (JSON.parse(readFileSync(output, "utf8")) as Result).testResults.flatMap(
        (file) => file.assertionResults
    );
    for (const {ancestorTitles, title, status, failureMessages} of results)
        if (status === "failed")
            console.error(`${type}: ${ancestorTitles[0]} ${title}: ${failureMessages[0]?.split("\n")[0]}`);
    return results;
}

function allResults(type: string): Assertion[] {
    const names = Object.keys(architectures);
    const groups = Array.from({length: Math.ceil(names.length / together)}, (_, i) =>
        names.slice(i * together, (i + 1) * together)
    );
    return groups.flatMap((group) => resultsOf(group, type));
}

let failed = false;
const found = new Map(types.map((type) => [type, allResults(type)]));
const rows = Object.entries(architectures).map(([name, {recurrent, window}]) => {
    const cells = columns.map(([, titles]) => {
        const good = types.filter((type) => {
            const own = (found.get(type) ?? []).filter(
                ({ancestorTitles, title, status}) =>
                    ancestorTitles[0] === name && titles.test(title) && (status === "passed" || status === "failed")
            );
            return own.length > 0 && own.every(({status}) => status === "passed");
        });
        failed ||= good.length < types.length;
        return good.length === types.length ? "yes" : good.join(", ") || "no";
    });
    return [name, recurrent ? "state" : window ? "window" : "", ...cells];
});
writeMarkedTable(join(root, "docs/compatibility.md"), "architectures", [
    ["Architecture", "", ...columns.map(([name]) => name)],
    ...rows
]);
if (failed) process.exitCode = 1;
