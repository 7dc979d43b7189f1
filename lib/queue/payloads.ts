/** What goes over the wire, checked on arrival as input from anybody: types, sizes, hashes. */
import {z} from "zod";
import {wavesSchema} from "../align/context-options.js";
import {combineSchema, orderSchema, strategySchema} from "../align/options.js";
import {maxJudging} from "../native.js";
import {promptFormats} from "../prompts/prompts.js";
import {probabilitySets} from "../train/presets.js";
import {boolean, integer, numberIn, oneOf} from "../validation/schemas.js";

/** Items of a job, characters of a text, tokens of a text. */
const most = {items: 4096, text: 2 ** 20, tokens: 2 ** 20} as const;
/** Bytes of an agent, and of a result as it travels and unpacked. */
export const maxBytes = {agent: 2 ** 28, result: 2 ** 28, unpacked: 2 ** 29} as const;

export const hash = z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256");
const text = z.string("a text").max(most.text);
const prompt = z.object({
    prompt: text,
    system: text.exactOptional(),
    reference: text.exactOptional(),
    format: oneOf(promptFormats).exactOptional()
});
const token = integer(0, 2 ** 31 - 1);
const tokens = z.array(token).max(most.tokens);
const index = integer(0, 2 ** 40);
const threads = integer(1, 1024).exactOptional();
const temperature = z.number().min(0).max(1e6);

const candidates = z.strictObject({
    topK: integer(1, 256),
    topP: numberIn(0, 1),
    minP: numberIn(0, 1),
    temperature
});

const rolloutOptions = z.strictObject({
    sequences: integer(1, 64),
    maxTokens: integer(1, 1e6),
    contextSize: integer(2, 1e7),
    candidates,
    fallbackIndex: integer(0, 255),
    order: orderSchema,
    strategy: strategySchema,
    lastAccepted: boolean,
    probabilitiesOver: oneOf(probabilitySets),
    threads
});

const asManySeeds = ({prompts, seeds}: {prompts: unknown[]; seeds: unknown[]}) => prompts.length === seeds.length;

/** Responses to explore, or with a threshold as at inference; without an agent the model's own. */
const rollout = z
    .strictObject({
        kind: z.literal("rollout"),
        model: hash,
        agent: hash.nullable(),
        options: rolloutOptions,
        prompts: z.array(prompt).min(1).max(most.items),
        seeds: z.array(z.int()).min(1).max(most.items),
        threshold: z.number().min(0).max(1).exactOptional(),
        /** How hidden states come back. */
        states: z.enum(["none", "f16", "f32"])
    })
    .refine(asManySeeds, "as many seeds as prompts");

/** Responses whose hidden states are read. */
const read = z.strictObject({
    kind: z.literal("read"),
    model: hash,
    options: rolloutOptions,
    texts: z
        .array(z.strictObject({prompt, response: text}))
        .min(1)
        .max(most.items),
    states: z.enum(["f16", "f32"])
});

const judging = z.strictObject({
    agent: hash,
    /** How its weights are packed: that decides about bits. */
    dtype: z.enum(["f32", "f16", "bf16", "int8"]),
    weight: z.number().min(0),
    threshold: numberIn(0, 1)
});

const alignedSchema = z.strictObject({
    agents: z.array(judging).min(1).max(maxJudging),
    combine: combineSchema,
    candidates,
    strategy: strategySchema,
    order: orderSchema,
    fallbackIndex: integer(0, 255),
    mode: z.enum(["auto", "lanes", "serial"]),
    waves: wavesSchema,
    cascade: z.union([z.enum(["off", "auto"]), z.strictObject({agreement: numberIn(0, 1)})])
});

const minMapped = numberIn(0, 1).exactOptional();
const weight = z.number();

/** The models that a guide needs are named by their hashes. */
const guideSchema = z.discriminatedUnion("kind", [
    z.strictObject({
        kind: z.literal("value"),
        network: hash.exactOptional(),
        tuned: hash.exactOptional(),
        base: hash.exactOptional(),
        weight: weight.exactOptional(),
        minMapped
    }),
    z.strictObject({
        kind: z.literal("contrast"),
        amateur: hash,
        weight,
        plausibility: z.number().exactOptional(),
        minMapped
    }),
    z.strictObject({kind: z.literal("guidance"), negativePrompt: text, scale: z.number()})
]);

/** One block of answers: what `AnswerPool.answer` gives in step. */
const answer = z.strictObject({
    kind: z.literal("answer"),
    model: hash,
    context: z.strictObject({contextSize: integer(8, 1e8), sequences: integer(1, 256), threads}),
    maxTokens: integer(1, 1e6),
    firstIndex: index,
    seed: integer(0, 2 ** 32 - 1),
    sampling: z.strictObject({
        temperature: temperature.exactOptional(),
        topP: numberIn(0, 1).exactOptional(),
        topK: integer(0, 2 ** 31 - 1).exactOptional(),
        minP: numberIn(0, 1).exactOptional()
    }),
    texts: z.array(tokens.min(1)).min(1).max(most.items),
    aligned: alignedSchema.exactOptional(),
    guide: guideSchema.exactOptional()
});

/** Responses to score. The names of files in the reward's text stand for hashes: no path comes over the wire. */
const score = z.strictObject({
    kind: z.literal("score"),
    reward: z.string().max(16_384),
    judgeQuestion: text.exactOptional(),
    files: z.record(z.string().max(4096), hash),
    timeoutMs: z.number().gt(0).max(86_400_000),
    retries: integer(0, 100),
    items: z
        .array(z.strictObject({prompt, response: text}))
        .min(1)
        .max(most.items)
});

export const payloadSchema = z.discriminatedUnion("kind", [rollout, read, answer, score]);
export type Payload = z.infer<typeof payloadSchema>;
export type PayloadOf<Kind extends Payload["kind"]> = Extract<Payload, {kind: Kind}>;

/** What a worker says of itself. */
export const workerSchema = z.object({
    id: z.string().max(200),
    host: z.string().max(300),
    pid: z.int(),
    version: z.string().max(200),
    /** Files that it has. */
    files: z
        .array(z.object({sha256: hash, name: z.string().max(1000), bytes: z.number(), module: z.boolean()}))
        .max(10_000),
    seconds: z.number(),
    done: z.int(),
    failed: z.int(),
    tokens: z.number(),
    /** Jobs and tokens of the last minute. */
    minute: z.object({jobs: z.number(), tokens: z.number()}),
    /** The kinds of the jobs under way. */
    busy: z.array(z.string().max(100)).max(100)
});
export type WorkerDescription = z.infer<typeof workerSchema>;

/** What a coordinator says of a queue. */
export const wantSchema = z.object({
    version: z.string().max(200),
    label: z.string().max(1000),
    files: z.array(hash).max(100),
    modules: z.array(hash).max(100)
});
export type Want = z.infer<typeof wantSchema>;

/** True if the worker has everything that jobs of this kind need. */
export function canServe(
    worker: WorkerDescription,
    {version, files, modules}: {version: string; files: readonly string[]; modules: readonly string[]}
): boolean {
    const has = (hash: string, module: boolean) =>
        worker.files.some((file) => file.sha256 === hash && file.module === module);
    return (
        worker.version === version &&
        files.every((hash) => has(hash, false)) &&
        modules.every((hash) => has(hash, true))
    );
}

/** Undefined where a text is no JSON of this shape. */
export function parsed<T>(schema: z.ZodType<T>, json: string | null): T | undefined {
    if (json === null) return undefined;
    try {
        return schema.parse(JSON.parse(json));
    } catch {
        return undefined;
    }
}
