import {z} from "zod";
import {notTold} from "./chat.js";
import {maxTokensSchema, optional, requestShape} from "./common.js";

const part = z.strictObject({
    type: z.enum(["input_text", "output_text"]),
    text: z.string(),
    annotations: optional(z.array(z.unknown()).max(0)),
    logprobs: optional(z.array(z.unknown()))
});
const status = optional(z.enum(["in_progress", "completed", "incomplete"]));

const item = z.union([
    z.strictObject({
        type: optional(z.literal("message")),
        id: optional(z.string()),
        status,
        role: z.enum(["system", "developer", "user", "assistant"]),
        content: z.union([z.string(), z.array(part).min(1)])
    }),
    z.strictObject({
        type: z.literal("function_call"),
        id: optional(z.string()),
        status,
        call_id: z.string().min(1),
        name: z.string().min(1),
        arguments: z.string()
    }),
    z.strictObject({
        type: z.literal("function_call_output"),
        id: optional(z.string()),
        status,
        call_id: z.string().min(1),
        output: z.string()
    })
]);

const functionName = z.string().regex(/^[\w-]{1,64}$/, "a name of letters, digits, _ and -");

const format = z.discriminatedUnion("type", [
    z.strictObject({type: z.literal("text")}),
    z.strictObject({type: z.literal("json_object")}),
    z.strictObject({
        type: z.literal("json_schema"),
        name: z.string().min(1),
        description: optional(z.string()).describe(notTold),
        schema: z.record(z.string(), z.unknown()),
        strict: optional(z.boolean())
    })
]);

export const responsesSchema = z.strictObject({
    ...requestShape,
    input: z.union([z.string(), z.array(item).min(1)]),
    instructions: optional(z.string()),
    max_output_tokens: maxTokensSchema,
    stream: optional(z.boolean()),
    text: optional(z.strictObject({format: optional(format)})),
    tools: optional(
        z
            .array(
                z.strictObject({
                    type: z.literal("function"),
                    name: functionName,
                    description: optional(z.string()),
                    parameters: optional(z.record(z.string(), z.unknown())),
                    strict: optional(z.boolean())
                })
            )
            .min(1)
            .max(128)
    ),
    tool_choice: optional(
        z.union([
            z.enum(["none", "auto", "required"]),
            z.strictObject({type: z.literal("function"), name: functionName})
        ])
    ),
    parallel_tool_calls: optional(z.boolean()),
    store: optional(z.boolean()).describe("Nothing is stored, whatever is said here: the server keeps no state."),
    previous_response_id: optional(z.null()).describe("Not to be had: send the conversation itself."),
    truncation: optional(z.literal("disabled"))
});

export type ResponsesRequest = z.output<typeof responsesSchema>;
