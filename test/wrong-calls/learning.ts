/** Training, evaluation, rewards and files of prompts. */
import {join} from "node:path";
import * as mara from "../../lib/index.js";
import {constantNames, constants} from "../../lib/train/constants.js";
import {answers, bound, candidates, rewardOptions, type Targets, texts, waves} from "./target.js";
import {boolean, empty, func, isString, list, maybe, nothing, oneOf, text, whole, within} from "./values.js";

export const learning: Targets = {
    evaluate: ({model, agent}) => ({
        call: mara.evaluate,
        args: [{model, agent, prompts: ["a"], rewards: ["length"], rewardOptions: {}, sampling: {}, candidates: {}}],
        takes: {
            0: nothing,
            "0.model": text,
            "0.modelPath": maybe(nothing),
            "0.agent": text,
            "0.prompts": oneOf(text, texts),
            "0.prompts.0": isString,
            "0.rewards": texts,
            "0.rewards.0": oneOf(isString, func),
            "0.rewardOptions": maybe(empty),
            ...rewardOptions("0.rewardOptions"),
            "0.against": maybe(texts),
            "0.maxTokens": maybe(whole(1, 1e6)),
            "0.threshold": maybe(within(0, 1)),
            "0.thresholds": maybe(list),
            ...candidates("0.candidates"),
            "0.strategy": maybe(nothing),
            "0.order": maybe(nothing),
            "0.mode": maybe(nothing),
            "0.waves": maybe(waves),
            "0.sampling": maybe(empty),
            "0.sampling.temperature": maybe(within(Number.MIN_VALUE, Number.MAX_VALUE)),
            "0.sampling.topP": maybe(within(0, 1)),
            "0.sampling.topK": maybe(whole(1)),
            "0.seed": maybe(whole(0, 2 ** 32 - 1)),
            "0.sequences": maybe(whole(1, 256)),
            "0.threads": maybe(whole(1, 1024)),
            "0.contextSize": maybe(whole(8, 1e8)),
            "0.fluency": maybe(boolean),
            "0.tieMargin": maybe(within(0, Number.MAX_VALUE)),
            "0.alignerTemplate": maybe(nothing),
            "0.runDirectory": maybe(text),
            "0.llama": maybe(nothing),
            "0.onProgress": maybe(func),
            "0.signal": maybe(nothing)
        },
        strict: ["0", "0.rewardOptions", "0.sampling", "0.candidates"]
    }),
    trainAgent: ({model, folder}) => ({
        call: mara.trainAgent,
        args: [{model, prompts: ["a"], reward: "length", runDirectory: `${folder}/run`, candidates: {}}],
        takes: {
            0: nothing,
            "0.model": text,
            "0.modelPath": maybe(nothing),
            "0.llama": maybe(nothing),
            "0.prompts": oneOf(text, texts),
            "0.prompts.0": isString,
            "0.reward": oneOf(isString, func),
            "0.runDirectory": text,
            "0.resume": maybe(boolean),
            "0.method": maybe(nothing),
            "0.preset": maybe(nothing),
            "0.warmStart": maybe(text),
            "0.pairs": maybe(text),
            ...candidates("0.candidates"),
            "0.baseline": maybe(nothing),
            "0.penalty": maybe(nothing),
            "0.postBack": maybe(boolean),
            "0.automaticAlpha": maybe(boolean),
            "0.student": maybe(boolean),
            "0.threads": maybe(whole(1, 256)),
            "0.judgeQuestion": maybe(isString),
            "0.onProgress": maybe(func),
            "0.signal": maybe(nothing),
            ...Object.fromEntries(
                constantNames.map((name) => {
                    const {min, max} = constants[name];
                    return [`0.${name}`, maybe(within(min, max))];
                })
            )
        },
        strict: ["0", "0.candidates"]
    }),
    trainValue: ({model, folder}) => ({
        call: mara.trainValue,
        args: [{model, demonstrations: answers, out: join(folder, "value.safetensors")}],
        takes: {
            0: nothing,
            "0.model": text,
            "0.modelPath": maybe(nothing),
            "0.llama": maybe(nothing),
            "0.demonstrations": text,
            "0.demonstrations.0.prompt": isString,
            "0.demonstrations.0.response": isString,
            "0.demonstrations.0.cut": maybe(boolean),
            "0.out": text,
            "0.candidates": maybe(whole(1, 1024)),
            "0.epochs": maybe(whole(1, 1e4)),
            "0.seed": maybe(whole(0, 2 ** 32 - 1)),
            "0.threads": maybe(whole(1, 256)),
            "0.onProgress": maybe(func),
            "0.signal": maybe(nothing)
        },
        strict: ["0"]
    }),
    trainStudent: ({model, agent}) => ({
        call: mara.trainStudent,
        args: [{model, agent, prompts: ["a", "b"], candidates: {}}],
        takes: {
            0: nothing,
            "0.model": text,
            "0.modelPath": maybe(nothing),
            "0.llama": maybe(nothing),
            "0.agent": text,
            "0.prompts": oneOf(text, texts),
            "0.prompts.0": isString,
            "0.out": maybe(nothing),
            ...candidates("0.candidates"),
            "0.threshold": maybe(within(0, 1)),
            "0.decisions": maybe(whole(2, 1e6)),
            "0.maxTokens": maybe(whole(1, 1e6)),
            "0.epochs": maybe(whole(1, 1e4)),
            "0.sequences": maybe(whole(1, 64)),
            "0.seed": maybe(whole(0, 2 ** 32 - 1)),
            "0.threads": maybe(whole(1, 256)),
            "0.onProgress": maybe(func),
            "0.signal": maybe(nothing)
        },
        strict: ["0", "0.candidates"]
    }),
    openReward: () => ({
        call: mara.openReward,
        args: ["length", {rewards: {}}],
        takes: {0: oneOf(text, func), 1: maybe(empty), ...rewardOptions("1")},
        strict: ["1"]
    }),
    "reward.score": ({reward}) => ({
        call: bound(reward, "score"),
        args: [{prompt: "a"}, "b"],
        takes: {0: isString, "0.prompt": isString, "0.system": maybe(isString), 1: isString}
    }),
    scoreGuarded: ({reward}) => ({
        call: mara.scoreGuarded,
        args: [reward, {prompt: "a"}, "b", {}],
        takes: {
            0: nothing,
            1: isString,
            "1.prompt": isString,
            2: isString,
            3: maybe(empty),
            "3.timeoutMs": maybe(within(Number.MIN_VALUE, 2 ** 31 - 1)),
            "3.retries": maybe(whole(0))
        },
        strict: ["3"]
    }),
    loadPrompts: () => ({call: mara.loadPrompts, args: ["nowhere.jsonl"], takes: {0: nothing}}),
    loadPairs: () => ({call: mara.loadPairs, args: ["nowhere.jsonl"], takes: {0: nothing}})
};
