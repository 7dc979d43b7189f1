import {z} from "zod";
import {countSchema, maxTokensSchema, optional, requestShape, stopSchema, streamShape} from "./common.js";

const textPart = z.strictObject({type: z.literal("text"), text: z.string()});
const content = z.union([z.string(), z.array(textPart).min(1)]);
const name = optional(z.string()).describe("Ignored: it is not put to the model.");

const toolCall = z.strictObject({
    id: z.string().min(1),
    type: z.literal("function"),
    function: z.strictObject({name: z.string().min(1), arguments: z.string()})
});

const message = z.discriminatedUnion("role", [
    z.strictObject({role: z.enum(["system", "developer"]), content, name}),
    z.strictObject({role: z.literal("user"), content, name}),
    z.strictObject({
        role: z.literal("assistant"),
        content: optional(content),
        name,
        tool_calls: optional(z.array(toolCall).min(1)),
        refusal: optional(z.null()),
        reasoning_content: optional(z.string()).describe("Ignored: what the model thought is not put to it again.")
    }),
    z.strictObject({role: z.literal("tool"), content, tool_call_id: z.string().min(1)})
]);

export type ChatMessage = z.output<typeof message>;

const jsonSchema = z.record(z.string(), z.unknown());
const functionName = z.string().regex(/^[\w-]{1,64}$/, "a name of letters, digits, _ and -");

export const toolSchema = z.strictObject({
    type: z.literal("function"),
    function: z.strictObject({
        name: functionName,
        description: optional(z.string()),
        parameters: optional(jsonSchema),
        strict: optional(z.boolean()).describe("Arguments follow the schema always, whatever is said here.")
    })
});

export const toolChoiceSchema = z.union([
    z.enum(["none", "auto", "required"]),
    z.strictObject({type: z.literal("function"), function: z.strictObject({name: functionName})})
]);

export const notTold = "Ignored: say in a message what the answer should be.";

export const responseFormatSchema = z.discriminatedUnion("type", [
    z.strictObject({type: z.literal("text")}),
    z.strictObject({type: z.literal("json_object")}),
    z.strictObject({
        type: z.literal("json_schema"),
        json_schema: z.strictObject({
            name: z.string().min(1),
            description: optional(z.string()).describe(notTold),
            schema: jsonSchema,
            strict: optional(z.boolean())
        })
    })
]);

export const chatSchema = z.strictObject({
    ...requestShape,
    ...streamShape,
    messages: z.array(message).min(1),
    max_tokens: maxTokensSchema,
    max_completion_tokens: maxTokensSchema,
    stop: stopSchema,
    n: countSchema,
    response_format: optional(responseFormatSchema),
    tools: optional(z.array(toolSchema).min(1).max(128)),
    tool_choice: optional(toolChoiceSchema),
    parallel_tool_calls: optional(z.boolean()),
    logprobs: optional(z.boolean()).describe("Log-probabilities among the candidates of each token."),
    top_logprobs: optional(z.int().min(0).max(20)),
    store: optional(z.literal(false)).describe("Nothing is stored.")
});

export type ChatRequest = z.output<typeof chatSchema>;
