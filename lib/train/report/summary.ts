/** A training run in words, for its report; how it went and what to do about it is said by `adviseOn`. */
import {basename} from "node:path";
import {modelInternals} from "../../align/node-llama-cpp/internals.js";
import {demoModelPath, demoName} from "../../demo/files.js";
import {plural} from "../../plural.js";
import type {Job} from "../run/job.js";

export interface RunDescription {
    /** Describes what was trained, and on what. */
    what: string;
    /** The command that measures the agent. */
    command: string;
}

/** Plain text. */
export function describeRun({config, model, prompts, pairs, run}: Job): RunDescription {
    const file = basename(model.filename ?? "the model");
    const from =
        pairs === undefined
            ? `${plural(prompts.length, "prompt")}${config.reward === null ? "" : `, by the reward ${config.reward}`}`
            : plural(pairs.length, "pair");
    const how = {
        sac: "by reinforcement learning (sac)",
        preference: "from preference pairs",
        advantage: "from the model's own responses, by what each token earned,"
    }[config.method];
    const reward = JSON.stringify(config.reward ?? "sentiment");
    // By the demo's name, which leads to its file from everywhere.
    const isDemo = modelInternals(model)._modelPath === demoModelPath;
    return {
        what: `An agent for ${file} was trained ${how} on ${from}.`,
        command:
            `mara eval -m ${isDemo ? demoName : file} -a ${run.file("agent.safetensors")} ` +
            `--prompts ${isDemo ? demoName : "held-out.jsonl"} --reward ${reward} ` +
            "--thresholds 0.1,0.3,0.5,0.7,0.9"
    };
}
