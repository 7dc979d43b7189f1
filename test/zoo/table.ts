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

function resultsOf(name: string, type: string): Assertion[] {
    const output = join(folder, `${type}-${name.replaceAll(/[^\w-]+/g, "_")}.json`);
    if (!existsSync(output)) {
        const run = ["vitest", "run", "test/zoo/zoo.test.ts", "--reporter=json", `--outputFile=${output}`];
        const env = {...process.env, MARA_ZOO_TYPE: type, MARA_ZOO_ARCHITECTURE: name};
        spawnSync("npx", run, {cwd: root, env, stdio: ["ignore", "ignore", "inherit"]});
    }
    if (!existsSync(output)) {
        console.error(`${type}: ${name}: the tests ended without results`);
        return [];
    }
    const results = (JSON.parse(readFileSync(output, "utf8")) as Result).testResults
        .flatMap((file) => file.assertionResults)
        .filter(({ancestorTitles}) => ancestorTitles[0] === name);
    for (const {title, status, failureMessages} of results)
        if (status === "failed") console.error(`${type}: ${name} ${title}: ${failureMessages[0]?.split("\n")[0]}`);
    return results;
}

let failed = false;
const found = new Map(
    types.map((type) => [type, new Map(Object.keys(architectures).map((name) => [name, resultsOf(name, type)]))])
);
const rows = Object.entries(architectures).map(([name, {recurrent, window}]) => {
    const cells = columns.map(([, titles]) => {
        const good = types.filter((type) => {
            const own = (found.get(type)?.get(name) ?? []).filter(
                ({title, status}) => titles.test(title) && (status === "passed" || status === "failed")
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
