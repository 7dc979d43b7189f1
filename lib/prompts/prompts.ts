/** Files of prompts and of preference pairs: JSON lines, or one JSON array. */
import {quote} from "../agent/tensor.js";
import {orDemo} from "../demo/files.js";
import {check} from "../validation/check.js";
import {path as pathSchema} from "../validation/schemas.js";
import {Flaw, readRecords} from "./records.js";

/**
 * "session": as a new `LlamaChatSession` would put it. "template": by the model's own chat template, as transformers would, without a
 * system prompt but the caller's.
 */
export const promptFormats = ["session", "template"] as const;
/** How a prompt is put to the model: as a `LlamaChatSession` does, or by the chat template in the model's file. */
export type PromptFormat = (typeof promptFormats)[number];

/** A question to a model. */
export interface Prompt {
    prompt: string;
    /** System prompt of this conversation. Without one, the chat wrapper's default. */
    system?: string;
    /** A text that a reward may compare the response with. The model never sees it. */
    reference?: string;
    /** How it is put to the model. Default "session". */
    format?: PromptFormat;
    /** True in training by `method: "advantage"` for a prompt to which the agent should leave the model's own answers as they are. */
    leaveAlone?: boolean;
}

/** Two responses to one prompt, of which one is preferred. */
export interface PreferencePair {
    prompt: string;
    system?: string;
    /** As for a prompt. */
    format?: PromptFormat;
    chosen: string;
    rejected: string;
}

/** An answer to learn from, for `trainValue`. */
export interface Demonstration {
    prompt: string;
    system?: string;
    /** As for a prompt. */
    format?: PromptFormat;
    response: string;
    /** True for a response that was cut off: that it ends is then not learnt. */
    cut?: boolean;
}

/**
 * Reads a UTF-8 file of prompts: one JSON object per line, or a JSON array of objects. `instruction` is taken where there is no `prompt`,
 * and a non-empty `input` (as in Alpaca's files) is put below the instruction. `system`, `reference` and `leaveAlone` are taken along. Other keys are
 * ignored, as are blank lines and a BOM.
 * `"demo"` names the held-out prompts of the demo. A file has at most 256 MiB, a line 1 MiB, an array 64 MiB; values are nested at most 64 deep.
 * @throws MaraError PROMPTS_NOT_FOUND if the path names no regular file that can be read; PROMPTS_FORMAT naming the line (of an array:
 * the item) that is wrong
 */
export function loadPrompts(path: string): Promise<Prompt[]> {
    return load(orDemo(path, "prompts"), (record) => {
        const reference = optionalText(record, "reference");
        return {
            ...readPrompt(record),
            ...(reference === undefined ? {} : {reference}),
            ...(optionalFlag(record, "leaveAlone") && {leaveAlone: true})
        };
    });
}

/**
 * Reads a file of preference pairs, or the demo's by the name `"demo"`: as `loadPrompts`, with the texts `chosen` and `rejected` in each record, which must differ.
 * @throws MaraError PROMPTS_NOT_FOUND, PROMPTS_FORMAT
 */
export function loadPairs(path: string): Promise<PreferencePair[]> {
    return load(orDemo(path, "pairs"), (record) => {
        const pair = {...readPrompt(record), chosen: text(record, "chosen"), rejected: text(record, "rejected")};
        if (pair.chosen === pair.rejected) throw new Flaw(`"chosen" and "rejected" are both ${shown(pair.chosen)}`);
        return pair;
    });
}

/**
 * Reads a file of demonstrations: as `loadPrompts`, with the text `response` in each record, or `chosen`, so that a file of preference pairs will do
 * (the demo's by the name `"demo"`).
 * @throws MaraError PROMPTS_NOT_FOUND, PROMPTS_FORMAT
 */
export function loadDemonstrations(path: string): Promise<Demonstration[]> {
    return load(orDemo(path, "pairs"), (record) => {
        const key = record.response === undefined && record.chosen !== undefined ? "chosen" : "response";
        const isCut = optionalFlag(record, "cut");
        return {...readPrompt(record), response: text(record, key), ...(isCut && {cut: true})};
    });
}

/** Prompts or pairs in a format; those that name one keep it. */
export function inFormat<T extends {format?: PromptFormat}>(records: readonly T[], format: PromptFormat): readonly T[] {
    return format === "session" ? records : records.map((record) => ({format, ...record}));
}

type JsonObject = Record<string, unknown>;

async function load<T>(path: string, read: (record: JsonObject) => T): Promise<T[]> {
    return readRecords(check(pathSchema(), path, "path"), (value) => {
        if (!isObject(value)) throw new Flaw(`expected an object but received ${shown(value)}`);
        return read(value);
    });
}

function readPrompt(record: JsonObject): {prompt: string; system?: string} {
    const system = optionalText(record, "system");
    return {prompt: readRequest(record), ...(system === undefined ? {} : {system})};
}

function readRequest(record: JsonObject): string {
    if (record.prompt !== undefined) return text(record, "prompt");
    if (record.instruction === undefined) throw new Flaw('it has neither "prompt" nor "instruction"');
    const input = optionalText(record, "input") ?? "";
    const instruction = text(record, "instruction");
    return input.trim() === "" ? instruction : `${instruction}\n\n${input}`;
}

function text(record: JsonObject, key: string): string {
    const value = record[key];
    if (typeof value !== "string" || value.trim() === "")
        throw new Flaw(`expected a text that is not empty for "${key}" but received ${shown(value)}`);
    return value;
}

/** Reads an optional text. Exports of tables write null where there is none. */
function optionalText(record: JsonObject, key: string): string | undefined {
    const value = record[key] ?? undefined;
    if (value !== undefined && typeof value !== "string")
        throw new Flaw(`expected a text for "${key}" but received ${shown(value)}`);
    return value;
}

/** False where there is none. */
function optionalFlag(record: JsonObject, key: string): boolean {
    const value = record[key] ?? false;
    if (typeof value !== "boolean") throw new Flaw(`expected true or false for "${key}" but received ${shown(value)}`);
    return value;
}

function isObject(value: unknown): value is JsonObject {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
    if (value === undefined) return "nothing";
    return typeof value === "string" ? quote(value) : quote(JSON.stringify(value)).slice(1, -1);
}
