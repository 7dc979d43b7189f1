/** GET /tokenizer_info, POST /tokenize and /detokenize in vLLM's form, by which lm-evaluation-harness finds where a context ends. */
import type {Token} from "node-llama-cpp";
import {z} from "zod";
import {readBody} from "./body.js";
import {promptTokensOf, requireTokens} from "./completion.js";
import type {Engine} from "./engine.js";
import {optional, tokenSchema} from "./schemas/common.js";
import type {Service} from "./service.js";

const model = optional(z.string()).describe("Ignored: all models of this server share one vocabulary.");

export const tokenizeSchema = z.strictObject({
    model,
    prompt: z.string().describe("Special tokens may be written in it."),
    add_special_tokens: optional(z.boolean()).describe(
        "Whether the beginning of a text stands in front, where the model wants it. Default true."
    )
});

export const detokenizeSchema = z.strictObject({model, tokens: z.array(tokenSchema)});

export function tokenizerInfo({model}: Engine): Response {
    const {bosString, eosString} = model.tokens;
    const template = model.fileInfo.metadata.tokenizer.chat_template;
    return Response.json({bos_token: bosString, eos_token: eosString, chat_template: template ?? null});
}

export async function tokenize({engine, options}: Service, request: Request): Promise<Response> {
    const body = await readBody(request, tokenizeSchema, options.maxBodyBytes);
    engine.requireTokenizable(body.prompt, "prompt");
    const own = engine.model.tokenize(body.prompt, true);
    const tokens = body.add_special_tokens === false ? own : promptTokensOf(engine, own).tokens;
    return Response.json({count: tokens.length, max_model_len: engine.context.contextSize, tokens});
}

export async function detokenize({engine, options}: Service, request: Request): Promise<Response> {
    const {tokens} = await readBody(request, detokenizeSchema, options.maxBodyBytes);
    requireTokens(engine, tokens, "tokens");
    return Response.json({prompt: engine.model.detokenize(tokens as Token[], true)});
}
