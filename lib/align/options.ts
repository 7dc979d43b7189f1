import {z} from "zod";
import type {MaraAgent} from "../agent/agent.js";
import {invalidArgument} from "../errors.js";
import {maxJudging} from "../native.js";
import {check, options} from "../validation/check.js";
import {boolean, finiteAtLeastZero, integer, numberIn, oneOf, seed, withMethod} from "../validation/schemas.js";
import {type CandidateOptions, candidateSchema, trainedWith} from "./candidate-options.js";
import {checkGuides, type Guide} from "./steer/guide.js";
import {asJudge, type Judge, type JudgeFunction} from "./steer/judge.js";
import {type Combine, type Panel, panelOf} from "./steer/panel.js";

/** Which accepted candidate is emitted: the first in order (the paper's), a random one, or the one with the highest accept probability. */
export type Strategy = "first" | "random" | "max-prob";

/** In which order candidates are tried: most probable first; the same with the top one last; least probable first. */
export type Order = "best-first" | "top-last" | "reverse";

/** An agent and how much it counts. */
export interface WeightedAgent {
    agent: MaraAgent;
    /**
     * Share in the mean of `combine: "weighted"`; finite and at least 0. An agent of weight 0 is not asked, however agents are combined. Where all weights are 0 the
     * sequence generates as on a plain context. Default 1.
     */
    weight?: number;
    /** Probability above which it accepts, in [0, 1]. Default: the aligner's `threshold`, else what the agent's file says (`mara.threshold`), else 0.5. */
    threshold?: number;
}

/** The settings that can be changed while a context lives, for all of its sequences or for one. */
export interface AlignerSettings {
    /**
     * Judges candidates: the short form of `agents: [{agent}]`. Its width must be the model's embedding size. Whoever is named (`agent`, `agents`, `judge`) takes
     * the place of all who judged before.
     */
    agent?: MaraAgent;
    /** Agents that judge candidates together, at most 16. */
    agents?: readonly WeightedAgent[];
    /**
     * How the opinions of several agents, and of a judge beside them, become one verdict. `"weighted"` (default): the mean of their accept logits,
     * ln(p / (1 − p)), by their weights, against the mean of their thresholds' logits, which is the threshold where all have the same. `"all"`:
     * accepted iff each accepts by its own threshold. `"any"`: iff one of them does. The verdict's accept probability is that of the mean; with
     * "all" and "any" it is the smallest or largest of the members', each seen from its own threshold, which comes to lie at 0.5.
     */
    combine?: Combine;
    /** A judge of your own, beside agents that are named with it, or alone. */
    judge?: Judge | JudgeFunction;
    /**
     * Change the logits of each step before candidates are drawn, in this order. Need lanes. Default none. Where there are guides and nobody who
     * judges, node-llama-cpp draws the token by the session's own options.
     */
    guides?: readonly Guide[];
    /** Draw of the candidates. Fields left out keep their value. */
    candidates?: CandidateOptions;
    /** Default "first". "random" and "max-prob" evaluate every candidate. */
    strategy?: Strategy;
    /** Default "best-first". */
    order?: Order;
    /** A candidate is accepted iff its accept probability is above this. In [0, 1]: 0 accepts everything, 1 rejects everything. Default: what the agent's file says (`mara.threshold`), else 0.5. Of several agents that are named with it, those without a threshold of their own have this one; given later, it is that of all. */
    threshold?: number;
    /** Rank, by probability, of the candidate emitted when none is accepted. Clamped to the last candidate. Default 0. */
    fallbackIndex?: number;
    /** Seed of the "random" strategy: the same seed, sequence number and text give the same choices. Default 0. */
    seed?: number;
    /** True if decisions are made at all. Default true. */
    enabled?: boolean;
    /**
     * Whether the agent's student, where its file has one for this model, gives verdicts in place of the agent. `"off"`: never. `{agreement}`, from 0 to 1:
     * where, of the student's held-out verdicts with this confidence or more, at least this share agree with the agent's; the agent is asked about the
     * rest. With 0 every verdict is the student's. `"auto"` (default): `{agreement: 0.95}` for a student that agrees on at least 0.8 of its held-out
     * verdicts, else off. Needs lanes; ignored in serial mode.
     */
    cascade?: CascadeOption;
}

/** Whether a student decides in its agent's place; see `AlignerSettings.cascade`. */
export type CascadeOption = "off" | "auto" | {readonly agreement: number};

/** Settings with nothing left out. */
export interface SettingsInForce extends Required<Omit<AlignerSettings, "candidates" | "agent" | "agents" | "judge">> {
    /** The agent in force, if there is one alone. */
    agent: MaraAgent | undefined;
    /** Those of weight 0 included. */
    agents: readonly Required<WeightedAgent>[];
    judge: Judge | undefined;
    candidates: Required<CandidateOptions>;
}

/** Settings with every default filled in. */
export interface ResolvedSettings {
    readonly agents: readonly Required<WeightedAgent>[];
    readonly combine: Combine;
    readonly judge: Judge | undefined;
    /** Who judges: the agents with a weight, and the judge. */
    readonly panel: Panel;
    readonly guides: readonly Guide[];
    readonly topK: number;
    readonly topP: number;
    readonly minP: number;
    readonly temperature: number;
    readonly strategy: Strategy;
    readonly order: Order;
    readonly threshold: number;
    readonly fallbackIndex: number;
    readonly seed: number;
    readonly enabled: boolean;
    readonly cascade: CascadeOption;
}

const defaults = {
    combine: "weighted",
    guides: [],
    topK: 40,
    topP: 0.95,
    minP: 0,
    temperature: 0.8,
    strategy: "first",
    order: "best-first",
    fallbackIndex: 0,
    seed: 0,
    enabled: true,
    cascade: "auto"
} as const;

const defaultThreshold = 0.5;

export const strategySchema = oneOf(["first", "random", "max-prob"]);
export const orderSchema = oneOf(["best-first", "top-last", "reverse"]);

const cascades = '"off", "auto" or {agreement}';
export const cascadeSchema = z.union(
    [z.literal("off"), z.literal("auto"), z.strictObject({agreement: numberIn(0, 1)}, cascades)],
    cascades
);
const someAgents = `an array of at most ${maxJudging} {agent, weight, threshold}`;
export const combineSchema = oneOf(["all", "weighted", "any"]);

/** Agents are checked by `requireAgent`, which knows the model, and a judge by `asJudge`. */
export const settings = {
    agent: z.unknown().optional(),
    agents: z
        .array(
            options({
                agent: z.unknown(),
                weight: finiteAtLeastZero.optional(),
                threshold: numberIn(0, 1).optional()
            }),
            someAgents
        )
        .max(maxJudging, someAgents)
        .optional(),
    combine: combineSchema.optional(),
    judge: z.unknown().optional(),
    guides: z.array(withMethod<Guide>("guide"), "an array of guides").optional(),
    candidates: candidateSchema.optional(),
    strategy: strategySchema.optional(),
    order: orderSchema.optional(),
    threshold: numberIn(0, 1).optional(),
    fallbackIndex: integer(0).optional(),
    seed: seed.optional(),
    enabled: boolean.optional(),
    cascade: cascadeSchema.optional()
};

const settingsSchema = options(settings);

/** @throws MaraError INVALID_ARGUMENT */
export function checkSettings(given: Partial<AlignerSettings>): z.output<typeof settingsSchema> {
    const checked = check(settingsSchema, given, "the aligner's settings", "");
    if (given.judge !== undefined) asJudge(given.judge);
    checkGuides(given.guides ?? []);
    const {agent, agents} = given;
    if (agent !== undefined && agents !== undefined && (agents.length !== 1 || agents[0]?.agent !== agent))
        throw invalidArgument(
            "agents",
            "the agent alone, or undefined, beside `agent`, which is the short form of it,",
            agents
        );
    return checked;
}

/** Those who are named, agents of weight 0 included. */
export function namedAgents({agent, agents}: Partial<AlignerSettings>): readonly WeightedAgent[] {
    return agents ?? (agent === undefined ? [] : [{agent}]);
}

/** `later` laid over `earlier`, both unchecked; fields that are undefined say nothing. */
export function mergeSettings(
    {candidates: first, ...earlier}: Partial<AlignerSettings>,
    {candidates: second, ...later}: Partial<AlignerSettings>
): Partial<AlignerSettings> {
    const given = <Change extends object>(change: Change | undefined) =>
        Object.fromEntries(Object.entries(change ?? {}).filter(([, value]) => value !== undefined)) as Partial<Change>;
    // Who judges is one setting: whoever is named takes the place of all others.
    if (later.agent !== undefined || later.agents !== undefined || later.judge !== undefined)
        for (const name of ["agent", "agents", "judge"] as const) delete earlier[name];
    // What is said later counts, also for agents that had thresholds of their own.
    else if (later.threshold !== undefined && earlier.agents !== undefined)
        earlier.agents = earlier.agents.map(({agent, weight = 1}) => ({agent, weight}));
    return {...earlier, ...given(later), candidates: {...first, ...given(second)}};
}

/**
 * Checks the given settings and fills in the rest: as the agents were trained, where their files say so (of several that say how candidates are drawn, the
 * first), and else the defaults.
 * @throws MaraError INVALID_ARGUMENT; AGENT_FORMAT if an agent's file says what cannot be
 */
export function resolveSettings(given: Partial<AlignerSettings>): ResolvedSettings {
    const {candidates, threshold, ...rest} = checkSettings(given);
    const isGiven = ([, value]: [string, unknown]) => value !== undefined;
    const trained = namedAgents(given).map(({agent}) => trainedWith(agent));
    const agents = namedAgents(given).map(({agent, weight = 1, threshold: own}, i) => ({
        agent,
        weight,
        threshold: own ?? threshold ?? trained[i]?.threshold ?? defaultThreshold
    }));
    const judge = given.judge && asJudge(given.judge);
    const values = Object.fromEntries(Object.entries({...candidates, ...rest}).filter(isGiven));
    const drawn = trained.find((one) => Object.entries(one).some(([key]) => key !== "threshold"));
    const {threshold: _, ...drawnAs} = drawn ?? {};
    const settings = {...defaults, ...drawnAs, ...values} as Omit<
        ResolvedSettings,
        "agents" | "judge" | "panel" | "threshold"
    >;
    const panel = panelOf({agents, judge, combine: settings.combine, threshold: threshold ?? defaultThreshold});
    const isOne = panel.combine === "weighted" || panel.members.length === 1;
    return {...settings, agents, judge, panel, threshold: isOne ? panel.threshold : (threshold ?? defaultThreshold)};
}

/** Resolved settings as they are given. */
export function settingsInForce(settings: ResolvedSettings): SettingsInForce {
    const {topK, topP, minP, temperature, panel: _, ...others} = settings;
    const [first, ...more] = others.agents;
    const agent = more.length === 0 ? first?.agent : undefined;
    return {...others, agent, candidates: {topK, topP, minP, temperature}};
}
