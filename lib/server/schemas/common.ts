/** Fields that several endpoints have. Of these schemas both the checks and /openapi.json are made. */
import {z} from "zod";
import {maraSchema} from "./mara.js";

/** A field that may be left out; null says as much. */
export function optional<Schema extends z.ZodType>(schema: Schema) {
    return schema.nullish();
}

/** A token's number. The first that is none ends the check of a long list. */
export const tokenSchema = z.int().min(0, {abort: true}).max(2_147_483_647, {abort: true});

const noToken = "a token's number";

/** zod's records leave this name out without a word. */
function refuseProto(value: unknown, context: z.RefinementCtx): unknown {
    if (typeof value === "object" && value !== null && Object.hasOwn(value, "__proto__"))
        context.addIssue({code: "custom", path: ["__proto__"], message: noToken});
    return value;
}

const penalty = z.number().min(-2).max(2);

export const samplingShape = {
    temperature: optional(z.number().min(0).max(2)).describe(
        "Default 0.8; 0 takes the most probable token. Beside an agent: of the candidates' probabilities, default as the agent was trained."
    ),
    top_p: optional(z.number().gt(0).max(1)).describe("Default 0.95, or as the agent was trained."),
    top_k: optional(z.int().min(0).max(1_000_000)).describe(
        "Default 40, or as the agent was trained. 0 is the whole vocabulary. Beside an agent from 1 to 256: the most candidates of a token."
    ),
    min_p: optional(z.number().min(0).max(1)).describe("Default 0, or as the agent was trained."),
    seed: optional(z.int().min(0).max(4_294_967_295)).describe(
        "Of the draws. The n answers count it up. Default: random."
    ),
    frequency_penalty: optional(penalty).describe("Default 0."),
    presence_penalty: optional(penalty).describe("Default 0."),
    repeat_penalty: optional(z.number().gt(0).max(10)).describe(
        "llama.cpp's; divides the logits of tokens of the answer. Default 1."
    ),
    logit_bias: optional(
        z.preprocess(refuseProto, z.record(z.string().regex(/^\d{1,9}$/, noToken), z.number().min(-100).max(100)))
    ).describe("Added to the logits of tokens, by number; -100 forbids one.")
};

export type SamplingFields = z.output<z.ZodObject<typeof samplingShape>>;

/** Fields of every request that generates. */
export const requestShape = {
    model: z.string().min(1).describe("The model's name, alone (plain) or with an agent's behind a colon."),
    ...samplingShape,
    user: optional(z.string()).describe("Ignored."),
    mara: optional(maraSchema)
};

export const stopSchema = optional(z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(16)])).describe(
    "Texts that end the answer; they are no part of it."
);

export const streamShape = {
    stream: optional(z.boolean()).describe("Sends server-sent events as tokens come."),
    stream_options: optional(z.strictObject({include_usage: optional(z.boolean())}))
};

export const maxTokensSchema = optional(z.int().min(1).max(10_000_000)).describe(
    "Longest answer in tokens. Default: what the context has room for."
);

export const countSchema = optional(z.int().min(1).max(16)).describe("Answers to give. Default 1.");
