/** `npm run bench [suite...] -- [--quick] [--json FILE]`: see README.md. */
import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {parseArgs} from "node:util";
import {cascadeSuite} from "./cascade/suite.js";
import {cellsSuite} from "./cells/suite.js";
import {distributeSuite} from "./distribute/suite.js";
import {generateSuite} from "./generate/suite.js";
import {guidesSuite} from "./guides/suite.js";
import {renderChart} from "./harness/chart.js";
import {describeMachine, machineLine} from "./harness/machine.js";
import type {Suite, SuiteResult, Target} from "./harness/suite.js";
import {renderTable} from "./harness/table.js";
import {severalSuite} from "./kernel/several.js";
import {studentSuite} from "./kernel/student.js";
import {kernelSuite} from "./kernel/suite.js";
import {loadSuite} from "./load/suite.js";
import {referenceSuite} from "./reference/suite.js";
import {serveSuite} from "./serve/suite.js";
import {trainSuite} from "./train/suite.js";

const suites: Record<string, Suite> = {
    kernel: kernelSuite,
    student: studentSuite,
    load: loadSuite,
    several: severalSuite,
    generate: generateSuite,
    cells: cellsSuite,
    guides: guidesSuite,
    serve: serveSuite,
    cascade: cascadeSuite,
    reference: referenceSuite,
    train: trainSuite,
    distribute: distributeSuite
};

const usage = `npm run bench [suite...] -- [options]

Suites: ${Object.keys(suites).join(", ")} (default: all)

  --quick          fewer cases, one round, short samples
  --rounds N       rounds of every contender (default 5)
  --threads N      threads of every contender (default 1)
  --only PATTERN   contenders whose names match this regular expression, in generate, serve and cascade
  --json FILE      writes every measured value
  --charts FOLDER  writes a chart and the tables per suite (docs/bench for the committed ones)
  --help`;

const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {
        quick: {type: "boolean", default: false},
        rounds: {type: "string"},
        threads: {type: "string", default: "1"},
        only: {type: "string", default: ""},
        json: {type: "string"},
        charts: {type: "string"},
        help: {type: "boolean", default: false}
    }
});

function verdict({name, passes, detail}: Target): string {
    const word = passes === undefined ? "not measured" : passes ? "pass" : "falls short";
    return `- ${word}: ${name}${passes === undefined ? "" : ` – ${detail}`}`;
}

function render({tables, targets, notes, skipped}: SuiteResult): string {
    const left = Object.entries(skipped).map(([name, reason]) => `- ${name}: ${reason}`);
    return [
        ...tables.map(renderTable),
        ...(notes.length === 0 ? [] : [...notes, ""]),
        ...(left.length === 0 ? [] : ["Left out:", "", ...left, ""]),
        "Targets:",
        "",
        ...targets.map(verdict),
        ""
    ].join("\n");
}

async function main(): Promise<void> {
    const unknown = positionals.filter((name) => !(name in suites));
    if (values.help || unknown.length > 0) {
        console.log(unknown.length > 0 ? `No suite is called ${unknown.join(", ")}.\n\n${usage}` : usage);
        process.exitCode = unknown.length > 0 ? 1 : 0;
        return;
    }
    const machine = describeMachine();
    const options = {
        quick: values.quick,
        threads: Number(values.threads),
        rounds: Number(values.rounds ?? (values.quick ? 1 : 5)),
        only: new RegExp(values.only),
        log: (line: string) => console.error(line)
    };
    console.log(`${machineLine(machine)} · ${options.threads} thread(s), ${options.rounds} round(s)\n`);
    const results: Record<string, unknown> = {};
    for (const name of positionals.length > 0 ? positionals : Object.keys(suites)) {
        const {title, run} = suites[name] as Suite;
        const started = describeMachine();
        const result = await run(options);
        const text = render(result);
        console.log(`## ${title}\n\n${text}`);
        const {panels, columns, tables, ...kept} = result;
        results[name] = {machine: started, options: {...options, only: values.only, log: undefined}, tables, ...kept};
        if (values.charts === undefined) continue;
        const line = `${machineLine(started)} · ${options.threads} thread(s), medians of ${options.rounds} round(s), whiskers: quartiles`;
        mkdirSync(values.charts, {recursive: true});
        // Some suites have tables only.
        const chart = panels.length === 0 ? "" : `![Chart](${name}.svg)\n\n`;
        if (chart !== "") writeFileSync(join(values.charts, `${name}.svg`), renderChart(title, line, panels, columns));
        writeFileSync(join(values.charts, `${name}.md`), `# ${title}\n\n${line}\n\n${chart}${text}`);
    }
    if (values.json !== undefined)
        writeFileSync(values.json, `${JSON.stringify({machine, suites: results}, null, 1)}\n`);
}

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
await main();
