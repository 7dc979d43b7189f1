/**
 * `npm run zoo -- [type...]`: runs the zoo's tests with weights of each type (default: all) and writes what they found into
 * docs/compatibility.md, architecture by architecture.
 */
import {spawnSync} from "node:child_process";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
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

const types = process.argv.length > 2 ? process.argv.slice(2) : ["F32", "F16", "Q8_0", "Q4_0"];
const root = fileURLToPath(new URL("../..", import.meta.url));

function resultsWith(type: string): Result["testResults"][number]["assertionResults"] {
    const folder = mkdtempSync(join(tmpdir(), "mara-zoo-"));
    const output = join(folder, "results.json");
    const run = ["vitest", "run", "test/zoo/zoo.test.ts", "--reporter=json", `--outputFile=${output}`];
    const env = {...process.env, MARA_ZOO_TYPE: type};
    spawnSync("npx", run, {cwd: root, env, stdio: ["ignore", "ignore", "inherit"]});
    const results = (JSON.parse(readFileSync(output, "utf8")) as Result).testResults.flatMap(
        (file) => file.assertionResults
    );
    rmSync(folder, {recursive: true});
    for (const {ancestorTitles, title, status, failureMessages} of results)
        if (status === "failed")
            console.error(`${type}: ${ancestorTitles[0]} ${title}: ${failureMessages[0]?.split("\n")[0]}`);
    return results;
}

const all = new Map(types.map((type) => [type, resultsWith(type)]));
let failed = false;
const rows = Object.entries(architectures).map(([name, {recurrent, window}]) => {
    const cells = columns.map(([, titles]) => {
        const good = types.filter((type) => {
            const own = (all.get(type) ?? []).filter(
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
