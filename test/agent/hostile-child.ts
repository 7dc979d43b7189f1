/** Loads the files named by the arguments and prints the outcome of each: `{code, message, ms, peakMb}[]`, peakMb being the growth of the peak. */
import {MaraAgent} from "../../lib/agent/agent.js";
import type {MaraError} from "../../lib/errors.js";
import {goldenPath} from "./helpers.js";

const peak = () => process.resourceUsage().maxRSS / 1024;

for (const name of ["w64.agent.safetensors", "module-prefix.pth"]) (await MaraAgent.load(goldenPath(name))).dispose();
const outcomes = [];
for (const path of process.argv.slice(2)) {
    const [before, start] = [peak(), performance.now()];
    const {code, message} = await MaraAgent.load(path).then(
        () => ({code: "loaded", message: ""}),
        (error: MaraError) => error
    );
    const ms = performance.now() - start;
    outcomes.push({code, message: message.replace(`Could not load ${path}: `, ""), ms, peakMb: peak() - before});
}
console.log(JSON.stringify(outcomes));
