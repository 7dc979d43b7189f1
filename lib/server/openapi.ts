/** GET /openapi.json, made of the schemas by which requests are checked. */
import {z} from "zod";
import {packageVersion} from "../package.js";
import {chatSchema} from "./schemas/chat.js";
import {completionSchema} from "./schemas/completion.js";
import {settingsSchema} from "./schemas/mara.js";
import {responsesSchema} from "./schemas/responses.js";
import {detokenizeSchema, tokenizeSchema} from "./tokens-endpoint.js";
import {traceSchema} from "./trace-endpoint.js";

const error = z
    .object({
        error: z.object({
            message: z.string(),
            type: z.string(),
            param: z.string().nullable(),
            code: z.string().nullable()
        })
    })
    .meta({id: "Error"});
const model = z
    .object({id: z.string(), object: z.literal("model"), created: z.int(), owned_by: z.string()})
    .meta({id: "Model"});
const usage = z
    .object({
        prompt_tokens: z.int(),
        completion_tokens: z.int(),
        total_tokens: z.int(),
        prompt_tokens_details: z.object({cached_tokens: z.int()})
    })
    .meta({id: "Usage"});
const answer = (object: string) =>
    z.looseObject({
        id: z.string(),
        object: z.literal(object),
        created: z.int(),
        model: z.string(),
        choices: z.array(z.looseObject({index: z.int(), finish_reason: z.enum(["stop", "length", "tool_calls"])})),
        usage
    });

const statuses: Record<number, string> = {
    400: "A field is unknown or wrong; `param` names it",
    401: "The key is missing or wrong",
    403: "The request was addressed to another host",
    404: "There is no such model, agent or answer",
    405: "Wrong method",
    408: "The answer took too long",
    413: "The body is too large",
    415: "The body is not application/json",
    429: "The server is busy; Retry-After says when to try again",
    503: "The server is shutting down"
};

const json = (schema: object) => ({content: {"application/json": {schema}}});

/** `hasKey`: requests must bring one. `modelNames`: what they may name as `model`. */
export function openApi(hasKey: boolean, modelNames: readonly string[]): object {
    const schemas: Record<string, object> = {};
    const reference = (schema: z.ZodType, name: string, io: "input" | "output" = "input") => {
        const {
            $schema: _,
            $defs,
            ...made
        } = z.toJSONSchema(schema, {target: "draft-2020-12", io}) as Record<string, unknown>;
        Object.assign(schemas, inComponents($defs ?? {}));
        schemas[name] = inComponents(made) as object;
        return {$ref: `#/components/schemas/${name}`};
    };
    const refusal = reference(error, "Error", "output");
    const refusals = (...codes: number[]) =>
        Object.fromEntries(codes.map((code) => [code, {description: statuses[code], ...json(refusal)}]));
    const always = [401, 403, 405];
    const generating = refusals(400, ...always, 404, 408, 413, 415, 429, 503);
    const operation = (summary: string, body: object, result: object, stream = true) => ({
        summary,
        requestBody: {required: true, ...json(body)},
        responses: {
            200: {
                description: stream ? "The answer, or a stream of it" : "Done",
                content: {
                    "application/json": {schema: result},
                    // Readers of the document disagree whether a schema is that of the whole stream or of an event.
                    ...(stream ? {"text/event-stream": {}} : {})
                }
            },
            ...generating
        }
    });
    const list = reference(z.object({object: z.literal("list"), data: z.array(model)}), "Models", "output");
    const health = reference(z.object({status: z.literal("ok"), busy: z.int(), waiting: z.int()}), "Health", "output");
    const get = (summary: string, content: object, more: object = {}) => ({
        get: {summary, responses: {200: {description: "The answer", content}, ...refusals(...always)}, ...more}
    });
    const id = [{name: "id", in: "path", required: true, schema: {type: "string"}}];
    const traced = operation(
        "A conversation with its traces, as one page",
        reference(traceSchema, "Conversation"),
        {},
        false
    );
    const page = {description: "The page", content: {"text/html": {schema: {type: "string"}}}};
    const traceOperation = {...traced, responses: {...traced.responses, 200: page}};
    const tokenList = {type: "object", properties: {tokens: {type: "array", items: {type: "integer"}}}};
    const looseObject = {type: "object"};
    const paths = {
        "/v1/models": get("The names that `model` may have", json(list).content),
        "/v1/models/{id}": get("One of them", json(reference(model, "Model", "output")).content, {
            parameters: id,
            responses: {
                200: {description: "The model", ...json(reference(model, "Model", "output"))},
                ...refusals(...always, 404)
            }
        }),
        "/v1/chat/completions": {
            post: operation(
                "Chats",
                reference(chatSchema, "ChatRequest"),
                reference(answer("chat.completion"), "Chat", "output")
            )
        },
        "/v1/completions": {
            post: operation(
                "Completions of a text",
                reference(completionSchema, "CompletionRequest"),
                reference(answer("text_completion"), "Completion", "output")
            )
        },
        "/v1/responses": {
            post: operation(
                "Responses, without state",
                reference(responsesSchema, "ResponsesRequest"),
                reference(
                    z.looseObject({id: z.string(), object: z.literal("response"), status: z.string()}),
                    "Response",
                    "output"
                )
            )
        },
        "/mara/generations/{id}": {
            patch: {
                ...operation(
                    "Other settings for an answer that is being generated",
                    reference(settingsSchema, "Settings"),
                    reference(z.looseObject({id: z.string()}), "Changed", "output"),
                    false
                ),
                parameters: id
            }
        },
        "/mara/trace": {post: traceOperation},
        "/tokenizer_info": get("The model's special tokens and chat template", json(looseObject).content),
        "/tokenize": {post: operation("The tokens of a text", reference(tokenizeSchema, "Text"), tokenList, false)},
        "/detokenize": {
            post: operation("The text of tokens", reference(detokenizeSchema, "Tokens"), looseObject, false)
        },
        "/health": get("Whether the server answers", json(health).content, {security: []}),
        "/metrics": get("Counters, for Prometheus", {"text/plain": {schema: {type: "string"}}})
    };
    for (const name of ["ChatRequest", "CompletionRequest", "ResponsesRequest"])
        Object.assign((schemas[name] as {properties: {model: object}}).properties.model, {enum: modelNames});
    return {
        openapi: "3.1.0",
        info: {title: "node-llama-mara", version: packageVersion(), description: "See docs/server.md."},
        paths,
        components: {schemas, ...(hasKey ? {securitySchemes: {key: {type: "http", scheme: "bearer"}}} : {})},
        ...(hasKey ? {security: [{key: []}]} : {})
    };
}

/** Schemas that refer to each other stand among the document's components. */
function inComponents(value: unknown): unknown {
    return JSON.parse(JSON.stringify(value).replaceAll('"#/$defs/', '"#/components/schemas/'));
}
