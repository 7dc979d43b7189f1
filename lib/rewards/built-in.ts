/** The rewards that a specification can name, and what each takes after its colon. */

import {demo} from "./demo.js";
import {specError, type Term} from "./expression.js";
import {headReward} from "./head.js";
import {defaultQuestion, judgeReward} from "./judge.js";
import {moduleReward} from "./module.js";
import {rankReward} from "./rank.js";
import type {Resources} from "./resources.js";
import type {Reward} from "./reward.js";
import {type LengthUnit, length, profanity, readability, regex, repetition, sentiment} from "./text.js";

/** The options of `openReward` that a reward here reads. */
interface Options {
    judgeQuestion?: string;
}

type Open = (argument: string, options: Options, resources: Resources, name: string) => Promise<Reward> | Reward;

/** A fault of an argument; `openBuiltIn` adds the place. */
class Unfit extends Error {}

const plain: Readonly<Record<string, () => Promise<Reward> | Reward>> = {
    sentiment,
    readability,
    profanity,
    repetition,
    length: () => length("length", "words"),
    demo
};

const withArgument: Readonly<Record<string, Open>> = {
    length: (argument, _, __, name) => {
        const [, target, unit] = /^(\d+(?:\.\d+)?)?\s*(words|characters|sentences)?$/.exec(argument) ?? [];
        if ((target === undefined && unit === undefined) || Number(target) === 0)
            throw new Unfit("expected a length such as 120, 120 words, 400 characters or 3 sentences");
        return length(name, (unit ?? "words") as LengthUnit, target === undefined ? undefined : Number(target));
    },
    regex: (argument, _, __, name) => {
        const end = argument.lastIndexOf("/");
        const flags = argument.slice(end + 1);
        try {
            return regex(name, new RegExp(argument.slice(1, end), flags.includes("g") ? flags : `${flags}g`));
        } catch (error) {
            throw new Unfit((error as Error).message);
        }
    },
    judge: (argument, options, resources, name) => {
        const {file, question} = judgeParts(argument);
        if (file === "" || question?.trim() === "")
            throw new Unfit("expected a model such as judge.gguf, or judge.gguf,Is it polite?");
        return judgeReward(name, file, (question ?? options.judgeQuestion ?? defaultQuestion).trim(), resources);
    },
    rank: (argument, _, resources, name) => rankReward(name, argument, resources),
    head: (argument, _, resources, name) => {
        const {model, head} = headParts(argument);
        if (head === "") throw new Unfit("expected a model and a score head such as model.gguf,head.safetensors");
        return headReward(name, model, head, resources);
    },
    module: (argument, _, resources, name) => moduleReward(name, argument, resources)
};

// A question or a score head stands behind the model's name.
function judgeParts(argument: string): {file: string; question: string | undefined} {
    const [, file = "", question] = /^(.*?\.gguf)(?:,(.*))?$/is.exec(argument) ?? [];
    return {file, question};
}

function headParts(argument: string): {model: string; head: string} {
    const [, model = "", head = ""] = /^(.*?\.gguf),(.+)$/i.exec(argument) ?? [];
    return {model: model.trim(), head: head.trim()};
}

/** The files that a reward names, and whether they are code. None where its argument is not as it should be. */
export function filesOf({name, argument = ""}: Term): {file: string; module: boolean}[] {
    const model = (...files: string[]) => files.filter((file) => file !== "").map((file) => ({file, module: false}));
    if (name === "judge") return model(judgeParts(argument).file);
    if (name === "rank") return model(argument);
    if (name === "head") return model(headParts(argument).model, headParts(argument).head);
    return name === "module" && argument !== "" ? [{file: argument, module: true}] : [];
}

export const builtInNames: readonly string[] = [...new Set([...Object.keys(plain), ...Object.keys(withArgument)])];

/** @throws MaraError REWARD_SPEC, REWARD_LOAD */
export async function openBuiltIn(
    {name, argument, offset}: Term,
    spec: string,
    options: Options,
    resources: Resources
): Promise<Reward> {
    if (argument === undefined) {
        const open = plain[name];
        if (open === undefined) throw specError(spec, offset, `${name} needs something after a colon`);
        return await open();
    }
    const open = withArgument[name];
    if (open === undefined) throw specError(spec, offset, `${name} takes nothing after a colon`);
    try {
        return await open(argument, options, resources, `${name}:${argument}`);
    } catch (error) {
        if (error instanceof Unfit) throw specError(spec, offset, error.message);
        throw error;
    }
}
