/** Runs the zoo's tests and writes what they found into docs/compatibility.md, architecture by architecture. */
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
    ["Four at once", /^gives each of four|^does so with/],
    ["Grammar", /grammar/],
    ["Erasing", /erased/]
];

interface Result {
    testResults: {
        assertionResults: {ancestorTitles: string[]; title: string; status: string; failureMessages: string[]}[];
    }[];
}

const folder = mkdtempSync(join(tmpdir(), "mara-zoo-"));
const output = join(folder, "results.json");
const run = ["vitest", "run", "test/zoo/zoo.test.ts", "--reporter=json", `--outputFile=${output}`];
spawnSync("npx", run, {cwd: fileURLToPath(new URL("../..", import.meta.url)), stdio: ["ignore", "ignore", "inherit"]});
const results = (JSON.parse(readFileSync(output, "utf8")) as Result).testResults.flatMap(
    (file) => file.assertionResults
);
rmSync(folder, {recursive: true});

for (const {ancestorTitles, title, status, failureMessages} of results)
    if (status === "failed") console.error(`${ancestorTitles[0]} ${title}: ${failureMessages[0]?.split("\n")[0]}`);
let failed = false;
const rows = Object.entries(architectures).map(([name, {recurrent, window}]) => {
    const cells = columns.map(([, titles]) => {
        const own = results.filter(
            ({ancestorTitles, title, status}) =>
                ancestorTitles[0] === name && titles.test(title) && (status === "passed" || status === "failed")
        );
        const isGood = own.length > 0 && own.every(({status}) => status === "passed");
        failed ||= !isGood;
        return isGood ? "yes" : "no";
    });
    return [name, recurrent ? "state" : window ? "window" : "", ...cells];
});
const page = fileURLToPath(new URL("../../docs/compatibility.md", import.meta.url));
writeMarkedTable(page, "architectures", [["Architecture", "", ...columns.map(([name]) => name)], ...rows]);
if (failed) process.exitCode = 1;
