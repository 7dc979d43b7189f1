import {z} from "zod";
import {countSchema, optional, requestShape, stopSchema, streamShape, tokenSchema} from "./common.js";

const accepted = "expected a text, the numbers of its tokens (whole, from 0), or a list of either";
const text = z.string(accepted);

export const completionSchema = z.strictObject({
    ...requestShape,
    ...streamShape,
    prompt: z
        .union(
            [
                text,
                z.array(text).min(1).max(256),
                z.array(tokenSchema).min(1),
                z.array(z.array(tokenSchema).min(1)).min(1).max(256)
            ],
            accepted
        )
        .describe("A text, or the numbers of its tokens; several of them are answered one by one."),
    max_tokens: optional(z.int().min(0).max(10_000_000)).describe("Default 16. With 0 only the prompt is measured."),
    stop: stopSchema,
    n: countSchema,
    echo: optional(z.boolean()).describe(
        "The prompt comes before the answer, with its log-probabilities where `logprobs` is given."
    ),
    logprobs: optional(z.int().min(0).max(20)).describe("The most probable candidates to tell for each token."),
    best_of: optional(z.literal(1))
});

export type CompletionRequest = z.output<typeof completionSchema>;
