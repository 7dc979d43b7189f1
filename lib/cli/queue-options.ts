/** The options of commands that have work done by workers. */
import {type Command, Option} from "commander";
import type {QueueOptions} from "../queue/options.js";
import {choiceOption, given} from "./parse.js";

export interface QueueFlags {
    queue?: string;
    queueStates?: "f32" | "f16";
    queueRewards?: boolean;
}

/** The address stands in the environment where a password must not stand in the list of processes. */
export function queueOption(told: string): Option {
    return new Option("--queue <url>", `${told}: redis://host:6379, rediss:// for TLS; or MARA_QUEUE`).env(
        "MARA_QUEUE"
    );
}

export function addQueueOptions(command: Command): Command {
    return command
        .addOption(queueOption("have it done by workers (mara worker) at this Redis"))
        .option("--queue-rewards", "workers score the responses, too");
}

export function statesOption(): Option {
    return choiceOption("--queue-states <dtype>", "how hidden states travel (default: f32)", ["f32", "f16"]);
}

/** What the flags say, for `trainAgent` and `evaluate`. */
export function queueOf({queue, queueStates, queueRewards}: QueueFlags): {queue?: QueueOptions} {
    if (queue === undefined) return {};
    return {queue: {url: queue, ...given({states: queueStates, rewards: queueRewards})}};
}
