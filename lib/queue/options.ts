/** What can be said of a queue, in code and on the command line. */
import {z} from "zod";
import {options} from "../validation/check.js";
import {boolean, oneOf, text} from "../validation/schemas.js";

/** What `queue` of a run or an evaluation takes. */
export interface QueueOptions {
    /** Redis or Valkey: redis://[user:password@]host[:port][/database], rediss:// for TLS. */
    url: string;
    /** How hidden states travel. "f16" halves them, and rounds what is learnt from. Default "f32". */
    states?: "f32" | "f16";
    /** True if workers score the responses, too: they need the files that the reward names. Default false. */
    rewards?: boolean;
}

export const queueSchema = z.union(
    [text, options({url: text, states: oneOf(["f32", "f16"]).optional(), rewards: boolean.optional()})],
    "a URL such as redis://host:6379, or {url}"
);

export function queueOptions(given: string | QueueOptions): Required<QueueOptions> {
    const {url, states = "f32", rewards = false} = typeof given === "string" ? {url: given} : given;
    return {url, states, rewards};
}
