/** Contexts, guides, agents and answers. */
import * as mara from "../../lib/index.js";
import {small} from "../support/models.js";
import {bound, cacheType, finite, settings, type Targets, texts, tokens, waves} from "./target.js";
import {boolean, empty, func, isString, list, maybe, nothing, oneOf, text, whole, within} from "./values.js";

export const generating: Targets = {
    createAlignedContext: ({model, agent}) => ({
        call: mara.createAlignedContext,
        args: [model, {...small, agent, candidates: {}, guides: [{guide() {}}]}],
        takes: {
            0: nothing,
            1: nothing,
            "1.agent": nothing,
            ...settings("1"),
            "1.mode": maybe(nothing),
            "1.lanes": maybe(whole(1)),
            "1.waves": maybe(waves),
            "1.sequences": maybe(whole(1, 256)),
            "1.contextSize": maybe(oneOf(whole(1, 2 ** 31 - 1), empty)),
            "1.batchSize": maybe(whole(1, 2 ** 31 - 1)),
            "1.flashAttention": maybe(boolean),
            "1.threads": maybe(oneOf(whole(0, 1024), empty)),
            "1.batching": maybe(empty),
            "1.batching.dispatchSchedule": maybe(func),
            "1.batching.itemPrioritizationStrategy": maybe(func),
            "1.experimentalKvCacheKeyType": maybe(cacheType),
            "1.experimentalKvCacheValueType": maybe(cacheType),
            "1.swaFullCache": maybe(boolean),
            "1.lora": maybe(text),
            "1.createSignal": maybe(nothing),
            "1.ignoreMemorySafetyChecks": maybe(boolean),
            "1.failedCreationRemedy": maybe(oneOf(empty, (value) => value === false)),
            "1.failedCreationRemedy.retries": maybe(whole(0, 1000)),
            "1.failedCreationRemedy.autoContextSizeShrink": maybe(oneOf(within(0, 1), func)),
            "1.performanceTracking": maybe(boolean)
        },
        strict: ["1", "1.candidates", "1.batching", "1.failedCreationRemedy", "1.contextSize", "1.threads"]
    }),
    guidance: () => ({
        call: mara.guidance,
        args: [{negativePrompt: "no", scale: 1}],
        takes: {
            0: nothing,
            "0.negativePrompt": (value) => (isString(value) && value !== "") || tokens(value),
            "0.scale": finite
        },
        strict: ["0"]
    }),
    contrast: ({model}) => ({
        call: mara.contrast,
        args: [{amateur: model, weight: 1}],
        takes: {
            0: nothing,
            "0.amateur": text,
            "0.weight": finite,
            "0.plausibility": maybe(within(Number.MIN_VALUE, 1))
        },
        strict: ["0"]
    }),
    valueModel: ({model}) => ({
        call: mara.valueModel,
        args: [{tuned: model}],
        takes: {0: nothing, "0.tuned": text, "0.base": maybe(text), "0.weight": maybe(finite)},
        strict: ["0"]
    }),
    "aligner.configure": ({agent, aligned, sequence}) => ({
        call: bound(aligned.aligner, "configure"),
        args: [{agent, candidates: {}, guides: [{guide() {}}]}, sequence],
        takes: {0: empty, "0.agent": nothing, ...settings("0"), 1: maybe(nothing)},
        strict: ["0", "0.candidates"]
    }),
    "aligner.stats": ({aligned, sequence}) => ({
        call: bound(aligned.aligner, "stats"),
        args: [sequence],
        takes: {0: maybe(nothing)}
    }),
    "aligner.settings": ({aligned, sequence}) => ({
        call: bound(aligned.aligner, "settings"),
        args: [sequence],
        takes: {0: maybe(nothing)}
    }),
    "aligner.onDecision": ({aligned, sequence}) => ({
        call: bound(aligned.aligner, "onDecision"),
        args: [() => {}, sequence],
        takes: {0: func, 1: maybe(nothing)}
    }),
    "aligner.enabled": ({aligned}) => ({
        call: (enabled: never) => Object.assign(aligned.aligner, {enabled}),
        args: [true],
        takes: {0: maybe(boolean)}
    }),
    "MaraAgent.load": () => ({
        call: mara.MaraAgent.load,
        args: ["test/golden/w64.agent.safetensors", {}],
        takes: {
            0: text,
            1: maybe(empty),
            "1.dtype": maybe(nothing),
            "1.kernel": maybe(nothing),
            "1.device": maybe(nothing),
            "1.threads": maybe(whole(1, 256))
        },
        strict: ["1"]
    }),
    "MaraAgent.fromTensors": ({agent}) => ({
        call: mara.MaraAgent.fromTensors,
        args: [agent.tensors(), {metadata: {}}],
        takes: {
            0: nothing,
            "0.ln.bias": nothing,
            1: maybe(empty),
            "1.dtype": maybe(nothing),
            "1.threads": maybe(whole(1, 256)),
            "1.metadata": maybe(empty),
            "1.metadata.name": isString
        },
        strict: ["1"]
    }),
    "agent.score": ({agent}) => ({call: bound(agent, "score"), args: [new Float32Array(64)], takes: {0: nothing}}),
    "agent.scoreAsync": ({agent}) => ({
        call: bound(agent, "scoreAsync"),
        args: [new Float32Array(64)],
        takes: {0: nothing}
    }),
    "agent.save": ({agent, folder}) => ({
        call: bound(agent, "save"),
        args: [`${folder}/saved.safetensors`, {}],
        takes: {0: text, 1: maybe(empty), "1.dtype": maybe(nothing)},
        strict: ["1"]
    }),
    promptTokens: ({model}) => ({
        call: mara.promptTokens,
        args: [model, {prompt: "a"}],
        takes: {0: nothing, 1: oneOf(isString, nothing), "1.prompt": isString, "1.system": maybe(isString)}
    }),
    answerAll: ({plainContext}) => ({
        call: mara.answerAll,
        args: [plainContext, ["a"], {maxTokens: 4}],
        takes: {
            0: nothing,
            1: oneOf(list, texts),
            "1.0": isString,
            2: nothing,
            "2.maxTokens": whole(1, 200),
            "2.sequences": maybe(whole(1, 2)),
            "2.tokensOf": maybe(func),
            "2.onAnswer": maybe(func),
            "2.signal": maybe(nothing),
            "2.temperature": maybe(within(0, Number.MAX_VALUE)),
            "2.topP": maybe(within(0, 1)),
            "2.topK": maybe(whole(0, 2 ** 31 - 1)),
            "2.minP": maybe(within(0, 1)),
            "2.seed": maybe(whole(0, 2 ** 32 - 1))
        },
        strict: ["2"]
    })
};
