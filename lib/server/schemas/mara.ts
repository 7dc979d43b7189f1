import {z} from "zod";

/** The extension field `mara` of requests that generate. */
export const maraSchema = z
    .strictObject({
        agent: z
            .string()
            .min(1)
            .optional()
            .describe("Name of the agent that decides; takes the place of one in `model`."),
        agents: z
            .array(
                z.strictObject({
                    agent: z.string().min(1),
                    weight: z.number().min(0).max(1e6).optional(),
                    threshold: z.number().min(0).max(1).optional()
                })
            )
            .min(1)
            .max(16)
            .optional()
            .describe("Agents that decide together, by name; in place of `agent`. Default weight 1."),
        combine: z
            .enum(["weighted", "all", "any"])
            .optional()
            .describe('How the opinions of several agents become one verdict. Default "weighted".'),
        threshold: z
            .number()
            .min(0)
            .max(1)
            .optional()
            .describe(
                "A candidate is accepted if its accept probability is above this. Default: as the agent was trained, else 0.5."
            ),
        enabled: z.boolean().optional().describe("false answers plainly. Default true."),
        cascade: z
            .union([z.enum(["off", "auto"]), z.strictObject({agreement: z.number().min(0).max(1)})])
            .optional()
            .describe('Whether the agent\'s student decides in its place. Default "auto".'),
        trace: z.boolean().optional().describe("Sends along, for each token, what was decided. Default false.")
    })
    .describe("How the answer is aligned.");

export type MaraExtension = z.output<typeof maraSchema>;
