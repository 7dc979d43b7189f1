/** The inputs of functions: models, agents and prompts, as files or as values. */
import type {LlamaModel} from "node-llama-cpp";
import {z} from "zod";
import {MaraAgent} from "../agent/agent.js";
import {invalidArgument} from "../errors.js";
import {type Prompt, promptFormats} from "../prompts/prompts.js";
import {check} from "./check.js";
import {anyText, boolean, loadedModel, oneOf, path, text} from "./schemas.js";

export const agentSource = z.union(
    [path(), z.custom<MaraAgent>((value) => value instanceof MaraAgent)],
    "a path or a MaraAgent"
);

/** Fields of options by which a model is named; `modelOf` checks them together. */
export const modelFields = {model: z.unknown().optional(), modelPath: z.unknown().optional()};

/**
 * The model that options name, as `model` or by the other spelling for paths, `modelPath`.
 * @throws MaraError INVALID_ARGUMENT
 */
export function modelOf({model, modelPath}: {model?: unknown; modelPath?: unknown}): string | LlamaModel {
    if (model !== undefined && modelPath !== undefined)
        throw invalidArgument("model", "either model or modelPath", "both");
    if (modelPath !== undefined) return check(path(), modelPath, "modelPath");
    return check(z.union([path(), loadedModel], "a path or a LlamaModel of node-llama-cpp"), model, "model");
}

const format = oneOf(promptFormats).optional();

/** Other fields than these are whatever the caller's records hold. */
const promptOf = (content: z.ZodString) =>
    z.union(
        [
            content,
            z.looseObject({
                prompt: content,
                system: anyText.optional(),
                reference: anyText.optional(),
                format,
                leaveAlone: boolean.optional()
            })
        ],
        "a prompt (a text, or {prompt, system, reference})"
    );

const prompt = promptOf(text);
/** Rewards may be asked about anything. */
const scoredPrompt = promptOf(anyText);

const pair = z.looseObject(
    {prompt: text, system: anyText.optional(), format, chosen: text, rejected: text},
    "{prompt, chosen, rejected}"
);

const demonstration = z.looseObject(
    {prompt: text, system: anyText.optional(), format, response: text, cut: boolean.optional()},
    "{prompt, response}"
);

export const demonstrationsSource = z.union(
    [path(), z.array(demonstration).min(2, {abort: true})],
    "a file or an array of at least two demonstrations"
);

/** A file, or values. `expected` is the message for anything else. */
export function promptsSource(expected: string) {
    return z.union([path(), z.array(prompt).min(1, {abort: true})], expected);
}

export function pairsSource(expected: string) {
    return z.union([path(), z.array(pair).min(1, {abort: true})], expected);
}

/** @throws MaraError INVALID_ARGUMENT */
export function checkPrompt(given: Prompt | string): Prompt {
    check(prompt, given, "prompt");
    return asPrompt(given);
}

/** @throws MaraError INVALID_ARGUMENT */
export function checkScored(given: Prompt | string, response: string): Prompt {
    check(scoredPrompt, given, "prompt");
    check(anyText, response, "response");
    return asPrompt(given);
}

/** @throws MaraError INVALID_ARGUMENT */
export function checkPrompts(given: readonly (Prompt | string)[]): Prompt[] {
    check(z.array(prompt, "an array of prompts"), given, "prompts");
    return Array.from(given, asPrompt);
}

/** Strings are prompts; records stay the caller's own. */
export function asPrompt(given: Prompt | string): Prompt {
    return typeof given === "string" ? {prompt: given} : given;
}
