import {z} from "zod";

/** A field that may be left out; null says as much. */
function optional<Schema extends z.ZodType>(schema: Schema) {
    return schema.nullish().transform((value) => value ?? undefined);
}

const thresholdSchema = z.number().min(0).max(1);

const agents = z
    .array(
        z.strictObject({
            agent: z.string().min(1),
            weight: optional(z.number().min(0).max(1e6)),
            threshold: optional(thresholdSchema)
        })
    )
    .min(1)
    .max(16);

export type NamedAgent = z.output<typeof agents>[number];

const combine = optional(z.enum(["weighted", "all", "any"]));

/** The extension field `mara` of requests that generate. */
export const maraSchema = z
    .strictObject({
        agent: optional(z.string().min(1)).describe(
            "Name of the agent that decides; takes the place of one in `model`."
        ),
        agents: optional(agents).describe(
            "Agents that decide together, by name; in place of `agent`. Default weight 1."
        ),
        combine: combine.describe('How the opinions of several agents become one verdict. Default "weighted".'),
        threshold: optional(thresholdSchema).describe(
            "A candidate is accepted if its accept probability is above this. Default: as the agent was trained, else 0.5."
        ),
        enabled: optional(z.boolean()).describe("false answers plainly. Default true."),
        cascade: optional(
            z.union([z.enum(["off", "auto"]), z.strictObject({agreement: z.number().min(0).max(1)})])
        ).describe('Whether the agent\'s student decides in its place. Default "auto".'),
        trace: optional(z.boolean()).describe("Sends along, for each token, what was decided. Default false.")
    })
    .describe("How the answer is aligned.");

export type MaraExtension = z.output<typeof maraSchema>;

/** What can be changed about an answer that is being generated. */
export const settingsSchema = z.strictObject({
    agents: optional(agents).describe(
        "The agents that decide from the next token on, in place of those before. What is left out of one that took part stays as it is; of another, the weight is 1 and the threshold as it was trained."
    ),
    combine: combine.describe("How their opinions become one verdict."),
    threshold: optional(thresholdSchema).describe("Of all agents that are not given one of their own here."),
    enabled: optional(z.boolean()).describe("false goes on plainly, true aligned again.")
});

export type SettingsChange = z.output<typeof settingsSchema>;
