/** `npm run soak -- [--minutes N] [--model PATH] [--seed N] [--leak MB]`: docs/soak.md. */
import {parseArgs} from "node:util";
import {runWithFixedMappingThreshold} from "./memory.js";
import {roundedDemoModel} from "./rounded-model.js";
import {soak} from "./soak.js";

const code = runWithFixedMappingThreshold();
if (code !== undefined) process.exit(code);

const {values} = parseArgs({
    options: {
        minutes: {type: "string", default: "30"},
        model: {type: "string"},
        seed: {type: "string", default: String(Date.now() % 2 ** 31)},
        leak: {type: "string", default: "0"}
    }
});

const growthMax = 0.05;
/** Too few rounds show no trend. */
const samplesMin = 20;

const minutes = Number(values.minutes);
const seed = Number(values.seed);
const leak = Number(values.leak);
if (!(minutes > 0) || !Number.isInteger(seed) || !(leak >= 0))
    throw new Error("Expected --minutes above 0, a whole number as --seed and --leak of 0 or more");
if (globalThis.gc === undefined) throw new Error("Memory is measured after a collection: run node with --expose-gc");

// Node opens what it prints to at first use.
process.stdout.write(`Seed ${seed}, ${minutes} minutes\n`);
const before = process.getActiveResourcesInfo();
const {counts, failures, memory} = await soak(
    {minutes, seed, leak, modelPath: values.model ?? (await roundedDemoModel())},
    (line) => console.log(line)
);
const told = failures.length;
if (memory.samples.length >= samplesMin && memory.growth > growthMax)
    failures.push(`Memory grew by ${(memory.growth * 100).toFixed(1)} % after the warm-up`);
// Thread pools and channels close at the end of the turn in which their objects went.
await new Promise((resolve) => setTimeout(resolve, 200));
const left = [...process.getActiveResourcesInfo()];
for (const resource of before) if (left.includes(resource)) left.splice(left.indexOf(resource), 1);
if (left.length > 0) failures.push(`Left open: ${left.join(", ")}`);

const rows = [
    ...Object.entries(counts).sort(([a], [b]) => a.localeCompare(b)),
    ["resident memory, first to last, MB", `${memory.samples[0]} to ${memory.last}`],
    ["growth after the warm-up", `${(memory.growth * 100).toFixed(1)} %`],
    ["failures", failures.length]
] as const;
const width = Math.max(...rows.map(([name]) => name.length));
console.log(`\n| ${"What".padEnd(width)} | Number |\n| ${"-".repeat(width)} | -----: |`);
for (const [name, value] of rows) console.log(`| ${name.padEnd(width)} | ${value} |`);
for (const failure of failures.slice(told)) console.log(`\n${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;
