/** Plans the sides: each side's context, and everything that its answers depend on. */

import {createHash} from "node:crypto";
import {statSync} from "node:fs";
import {resolve} from "node:path";
import type {Llama, LlamaModel, Token} from "node-llama-cpp";
import {type AgentTensor, MaraAgent} from "../agent/agent.js";
import {createAlignedContext} from "../align/aligned-context.js";
import type {ModelGuide} from "../align/guides/model-guide.js";
import type {GuideSpec} from "../align/guides/spec.js";
import {newContext} from "../align/node-llama-cpp/new-context.js";
import type {WeightedAgent} from "../align/options.js";
import type {Combine} from "../align/steer/panel.js";
import {orDemo} from "../demo/files.js";
import {MaraError, reasonOf} from "../errors.js";
import type {SamplingOptions} from "../generation/answers.js";
import {loadModelFile} from "../model-file.js";
import type {Prompt} from "../prompts/prompts.js";
import type {EvaluationSettings, Opponent} from "./options.js";
import type {OpenSide} from "./stored-block.js";

export interface Plan {
    name: string;
    /** Everything that the answers depend on besides prompts, lengths, seed and sequences. */
    identity: object;
    /** Answers per prompt, of which the best is kept. */
    samples: number;
    sampling: SamplingOptions;
    /** True if the answers' tokens are the base model's. */
    ownTokens: boolean;
    open(shape: ContextShape): Promise<OpenSide>;
    /** The tokens read before an answer; by default the prompt, as the model's chat wrapper puts it. */
    tokensOf?: (model: LlamaModel, prompt: Prompt, index: number) => Token[];
    /** What workers need to know to open it themselves. */
    remote: RemotePlan;
    /** Frees the model or agent that was loaded for the plan itself. */
    close?: () => void;
}

export interface RemotePlan {
    openModel: OpenModel;
    aligned?: {agents: readonly Required<WeightedAgent>[]; combine: Combine; settings: EvaluationSettings["aligned"]};
    guide?: GuideSpec;
}

export type ContextShape = (model: LlamaModel) => {contextSize: number; sequences: number; threads?: number};

export interface Players {
    llama: Llama;
    model: LlamaModel;
    agent: MaraAgent;
    /** Settings of the agent. */
    settings: EvaluationSettings;
    /** Settings of another agent. */
    settingsFor: (agent: MaraAgent) => EvaluationSettings;
}

export function alignedPlan({model, agent, settings}: Players, name: string, threshold: number): Plan {
    const openModel = async () => ({model});
    return steered(name, {settings, judges: {agent, threshold}, model: describeModel(model), openModel});
}

/** `rawAnswers` are asked for where they are rewritten. */
export async function opponentPlan(
    players: Players,
    opponent: Opponent,
    rawAnswers: () => Promise<readonly string[]>
): Promise<Plan> {
    const {llama, model, agent, settings} = players;
    const {sampling, threshold} = settings;
    const {name} = opponent;
    switch (opponent.kind) {
        case "raw":
            return raw(model, name, 1, {});
        case "raw-sampled":
            return raw(model, name, 1, sampling);
        case "bon":
            return raw(model, name, opponent.samples, sampling);
        case "guide":
            return guided(model, name, opponent);
    }
    if (opponent.kind === "agents") return await combinedPlan(players, opponent);
    const path = resolve(orDemo(opponent.path, opponent.kind === "agent" ? "agent" : "model"));
    if (opponent.kind === "agent") {
        const other = await MaraAgent.load(path);
        const own = players.settingsFor(other);
        const plan = alignedPlan({...players, agent: other, settings: own}, name, own.threshold);
        return {...plan, close: () => other.dispose()};
    }
    const openModel = async () => {
        const other = await loadNamedModel(llama, path);
        return {model: other, close: () => other.dispose()};
    };
    const file = describeFile(path);
    if (opponent.kind === "model")
        return {...steered(name, {settings, judges: {agent, threshold}, model: file, openModel}), ownTokens: false};
    return rewriting(name, file, openModel, settings.alignerTemplate, await rawAnswers());
}

/** Several agents, each at its own threshold. Candidates are drawn as the first agent wants it. */
async function combinedPlan(players: Players, opponent: Opponent & {kind: "agents"}): Promise<Plan> {
    const agents: Required<WeightedAgent>[] = [];
    for (const {path, weight} of opponent.agents) {
        const agent = await MaraAgent.load(resolve(orDemo(path, "agent")));
        agents.push({agent, weight, threshold: players.settingsFor(agent).threshold});
    }
    const {model, settingsFor} = players;
    const {agent} = agents[0] as Required<WeightedAgent>;
    const openModel = async () => ({model});
    const judges = {agents, combine: opponent.combine};
    const plan = steered(opponent.name, {settings: settingsFor(agent), judges, model: describeModel(model), openModel});
    return {
        ...plan,
        close: () => {
            for (const {agent} of agents) agent.dispose();
        }
    };
}

function raw(model: LlamaModel, name: string, samples: number, sampling: SamplingOptions): Plan {
    return {
        name,
        identity: {model: describeModel(model), samples, sampling},
        samples,
        sampling,
        ownTokens: true,
        remote: {openModel: async () => ({model})},
        open: async (shape) => {
            const context = await newContext(model, shape(model));
            return {context, close: () => context.dispose()};
        }
    };
}

/** The most probable tokens after a guide, no agent asked. The side's name says which guide. */
function guided(model: LlamaModel, name: string, {spec, guide}: {spec: GuideSpec; guide: ModelGuide}): Plan {
    return {
        name,
        identity: {model: describeModel(model), guide: name},
        samples: 1,
        sampling: {},
        ownTokens: true,
        remote: {openModel: async () => ({model}), guide: spec},
        open: async (shape) => {
            const {context} = await createAlignedContext(model, {...shape(model), guides: [guide]});
            return {context, close: () => context.dispose()};
        }
    };
}

/** Who judges on a side: settings of its aligner. */
type Judges = {agent: MaraAgent; threshold: number} | {agents: Required<WeightedAgent>[]; combine: Combine};

/** The model of a side; what loaded it closes it. */
export type OpenModel = () => Promise<{model: LlamaModel; close?: () => Promise<void>}>;

function steered(
    name: string,
    options: {settings: EvaluationSettings; judges: Judges; model: object; openModel: OpenModel}
): Plan {
    const {judges, model, openModel} = options;
    const {aligned} = options.settings;
    const {cascade, ...withoutCascade} = aligned;
    // Without a cascade the student changes nothing, and answers that earlier releases saved are still the same.
    const agents = "agent" in judges ? [judges.agent] : judges.agents.map(({agent}) => agent);
    const students = agents.map(hashOfStudent);
    const decider = cascade === "off" ? {} : {cascade, student: students.length === 1 ? students[0] : students};
    const whoJudges =
        "agent" in judges
            ? {agent: hashOfAgent(judges.agent), threshold: judges.threshold}
            : {...judges, agents: judges.agents.map((one) => ({...one, agent: hashOfAgent(one.agent)}))};
    return {
        name,
        identity: {model, ...whoJudges, ...withoutCascade, ...decider},
        samples: 1,
        sampling: {},
        ownTokens: true,
        remote: {openModel, aligned: {...panelOf(judges), settings: aligned}},
        open: async (shape) => {
            const {model, close} = await openModel();
            const {context, aligner} = await createAlignedContext(model, {
                ...shape(model),
                ...aligned,
                ...judges
            });
            return {
                context,
                aligner,
                trace: {order: aligned.order},
                close: async () => {
                    await context.dispose();
                    await close?.();
                }
            };
        }
    };
}

/** One agent as several. */
function panelOf(judges: Judges): {agents: Required<WeightedAgent>[]; combine: Combine} {
    return "agent" in judges ? {agents: [{...judges, weight: 1}], combine: "weighted"} : judges;
}

/** Aligner: a model that is given question and answer, and writes a better one. It reads the bare template, without a chat's markers. */
function rewriting(
    name: string,
    file: object,
    openModel: OpenModel,
    template: string,
    answers: readonly string[]
): Plan {
    return {
        name,
        identity: {model: file, rewritten: sha256(JSON.stringify(answers)), template},
        samples: 1,
        sampling: {},
        ownTokens: false,
        remote: {openModel},
        open: async (shape) => {
            const {model, close} = await openModel();
            const context = await newContext(model, shape(model));
            return {
                context,
                close: async () => {
                    await context.dispose();
                    await close?.();
                }
            };
        },
        tokensOf: (model, {prompt}, index) => {
            const text = template.replace(/\{(question|answer)\}/g, (_, slot) =>
                slot === "question" ? prompt : (answers[index] ?? "")
            );
            const {bos, shouldPrependBosToken} = model.tokens;
            const tokens = model.tokenize(text);
            return shouldPrependBosToken && bos !== null ? [bos, ...tokens] : tokens;
        }
    };
}

/** @throws MaraError MODEL_NOT_FOUND, MODEL_UNSUPPORTED */
export async function loadNamedModel(llama: Llama, file: string): Promise<LlamaModel> {
    const path = resolve(orDemo(file, "model"));
    describeFile(path);
    try {
        return await loadModelFile(llama, path);
    } catch (error) {
        throw new MaraError("MODEL_UNSUPPORTED", `Could not load the model ${path}: ${reasonOf(error)}`, {
            cause: error
        });
    }
}

/** Tells one model from another without reading gigabytes. */
export function describeModel({filename, size, typeDescription}: LlamaModel): object {
    return {file: filename ?? null, size, type: typeDescription};
}

function describeFile(path: string): object {
    const stat = statSync(path, {throwIfNoEntry: false});
    if (stat?.isFile()) return {file: path, size: stat.size};
    throw new MaraError("MODEL_NOT_FOUND", `There is no model file ${path}.`);
}

export function hashOfAgent(agent: MaraAgent): string {
    return hashOfTensors(agent.tensors());
}

function hashOfStudent({student}: MaraAgent): string | null {
    return student === undefined ? null : hashOfTensors(student.tensors);
}

function hashOfTensors(tensors: Readonly<Record<string, AgentTensor>>): string {
    const hash = createHash("sha256");
    for (const [name, {data}] of Object.entries(tensors).sort(([a], [b]) => (a < b ? -1 : 1)))
        hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return hash.digest("hex");
}

export function sha256(text: string): string {
    return createHash("sha256").update(text).digest("hex");
}
