import {z} from "zod";
import {invalidArgument} from "../errors.js";
import {check, options} from "../validation/check.js";
import {func, integer, llama, path, text} from "../validation/schemas.js";
import {builtInNames, openBuiltIn} from "./built-in.js";
import {cut, maxNesting, parseExpression, specError, type Term} from "./expression.js";
import {type FindFile, type ResourceOptions, Resources} from "./resources.js";
import {aReward, checkedScore, type Reward, type RewardFunction, type RewardSpan, rewardOf} from "./reward.js";
import {timeoutMs} from "./time-limit.js";

/** Text such as `"2*sentiment - 0.5*profanity"` (docs/rewards.md has the grammar), a function, or a reward that is open already. */
export type RewardSpec = string | RewardFunction | Reward;

/** What `openReward` takes. */
export interface RewardOptions extends ResourceOptions {
    /** Names for use in specifications: `{helpful: "judge:judge.gguf"}` for `"2*helpful - length"`. They may name each other. */
    rewards?: Readonly<Record<string, RewardSpec>>;
    /** The question that `judge:` asks about each response when its specification gives none. */
    judgeQuestion?: string;
}

/** The forms of a specification that `openReward` takes. */
export const rewardSchema = z.union([z.string(), func<RewardFunction>(), aReward], "a text, a function or a Reward");

export const rewardOptionsSchema = options({
    llama: llama.optional(),
    threads: integer(1, 1024).optional(),
    contextSize: integer(8, 100_000_000).optional(),
    baseDirectory: path().optional(),
    moduleTimeoutMs: timeoutMs.optional(),
    rewards: z.record(z.string(), rewardSchema, "an object of names and rewards").optional(),
    judgeQuestion: text.optional()
});

/**
 * Opens a reward: parses, imports and loads what it needs. Each name and each model is opened once, however often it is used.
 * `dispose` frees everything opened here; a `Reward` or a `Llama` passed in stays the caller's.
 * @throws MaraError REWARD_SPEC, REWARD_LOAD, INVALID_ARGUMENT
 */
export async function openReward(spec: RewardSpec, options: RewardOptions = {}): Promise<Reward> {
    check(rewardSchema, spec, "reward");
    check(rewardOptionsSchema, options, "options", "");
    return await openRewardWith(spec, options);
}

/** `openReward` of checked options; `findFile` gives the files that the reward names. */
export async function openRewardWith(spec: RewardSpec, options: RewardOptions, findFile?: FindFile): Promise<Reward> {
    for (const name of Object.keys(options.rewards ?? {})) checkName(name);
    const resources = new Resources(options, findFile);
    try {
        const {name, score} = await new Opener(options, resources).open(spec);
        return {name, score, dispose: () => resources.dispose()};
    } catch (error) {
        await resources.dispose();
        throw error;
    }
}

function checkName(name: string): void {
    if (!/^[a-z_]\w*$/i.test(name)) throw invalidArgument("rewards", "names of letters, digits and underscores", name);
    if (builtInNames.includes(name)) throw invalidArgument("rewards", "names other than those built in", name);
}

/** A reward as this module opens it. Freeing is left to the resources. */
interface Scorer extends Pick<Reward, "name" | "score"> {
    /** The rewards that a sum consists of, none of them a sum itself, each with its weight. */
    readonly weights?: ReadonlyMap<Scorer, number>;
}

class Opener {
    readonly #options: RewardOptions;
    readonly #resources: Resources;
    readonly #named = new Map<string, Promise<Scorer>>();

    constructor(options: RewardOptions, resources: Resources) {
        this.#options = options;
        this.#resources = resources;
    }

    async open(spec: RewardSpec, name?: string, within: readonly string[] = []): Promise<Scorer> {
        if (typeof spec === "string") return await this.#openText(spec, within);
        if (typeof spec === "function") return rewardOf(name ?? (spec.name || "function"), spec);
        // The score passes through the checks, because the object may be anybody's.
        return rewardOf(name ?? String(spec.name), (prompt, response, context) =>
            spec.score({prompt, ...context}, response)
        );
    }

    async #openText(spec: string, within: readonly string[]): Promise<Scorer> {
        const {definitions, terms} = parseExpression(spec);
        const scope = new Map<string, Scorer>();
        for (const {name, offset, terms: value} of definitions) {
            if (builtInNames.includes(name) || this.#bound(name) !== undefined || scope.has(name))
                throw specError(spec, offset, `the name ${name} is taken`);
            scope.set(name, await this.#openSum(name, spec, value, scope, within));
        }
        return await this.#openSum(spec.trim(), spec, terms, scope, within);
    }

    async #openSum(
        name: string,
        spec: string,
        terms: readonly Term[],
        scope: ReadonlyMap<string, Scorer>,
        within: readonly string[]
    ): Promise<Scorer> {
        const weights = new Map<Scorer, number>();
        for (const term of terms) {
            const opened = await this.#openTerm(spec, term, scope, within);
            // A reward that nested sums name repeatedly is asked once; otherwise calls would double with each sum.
            for (const [part, weight] of opened.weights ?? [[opened, 1]]) {
                const sum = (weights.get(part) ?? 0) + term.weight * weight;
                if (!Number.isFinite(sum))
                    throw specError(spec, term.offset, "expected finite weights before what stands");
                weights.set(part, sum);
            }
        }
        const [[only, weight]] = weights as unknown as [[Scorer, number]];
        return weights.size === 1 && weight === 1 ? only : weightedSum(name, weights);
    }

    async #openTerm(
        spec: string,
        term: Term,
        scope: ReadonlyMap<string, Scorer>,
        within: readonly string[]
    ): Promise<Scorer> {
        const {name, argument, offset} = term;
        const known = [...scope.keys(), ...Object.keys(this.#options.rewards ?? {})];
        if (!known.includes(name)) {
            if (builtInNames.includes(name)) return await openBuiltIn(term, spec, this.#options, this.#resources);
            const names = [...known, ...builtInNames].join(", ");
            throw specError(spec, offset, `there is no reward ${name}; there are ${names};`);
        }
        if (argument !== undefined) throw specError(spec, offset, `${name} takes nothing after a colon`);
        const defined = scope.get(name);
        if (defined !== undefined) return defined;
        if (within.includes(name)) throw specError(spec, offset, `${name} is defined by itself`);
        if (within.length >= maxNesting)
            throw specError(spec, offset, `expected names defined by at most ${maxNesting} further ones in a row`);
        let opened = this.#named.get(name);
        if (opened === undefined) {
            opened = this.open(this.#bound(name) as RewardSpec, name, [...within, name]);
            this.#named.set(name, opened);
        }
        return await opened;
    }

    #bound(name: string): RewardSpec | undefined {
        return Object.hasOwn(this.#options.rewards ?? {}, name) ? this.#options.rewards?.[name] : undefined;
    }
}

function weightedSum(name: string, weights: ReadonlyMap<Scorer, number>): Scorer {
    const parts = [...weights];
    return {
        name,
        weights,
        async score(prompt, response) {
            const scored = await Promise.all(parts.map(([part]) => part.score(prompt, response)));
            let score = 0;
            const spans: RewardSpan[] = [];
            for (const [i, part] of scored.entries()) {
                const [, weight] = parts[i] as [Scorer, number];
                score += weight * part.score;
                spans.push(...part.spans.map((span) => ({...span, score: weight * span.score})));
            }
            return checkedScore(cut(name), {score, spans}, response);
        }
    };
}
