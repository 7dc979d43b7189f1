/** The loop of a run: responses take turns in batches, and the next prompt takes the place of one that is finished. */
import type {LlamaModel, Token} from "node-llama-cpp";
import type {MaraAgent} from "../../agent/agent.js";
import type {Candidate} from "../../align/decide/candidates.js";
import {stopTriggers} from "../../generation/prompt-tokens.js";
import type {Prompt} from "../../prompts/prompts.js";
import {uniformStream} from "../../random.js";
import type {RolloutEngine, RolloutText, TextStep} from "./engine.js";
import {type DecisionOptions, deciding, exploring, sampled} from "./exploration.js";
import {Episode, type Trajectory} from "./trajectory.js";

/** Limits of every response of these rollouts. */
export interface ResponseLimits {
    /** Longest response, in tokens. */
    maxTokens: number;
    decisions: DecisionOptions;
    /** Tokens of prompt and response together. */
    contextSize: number;
}

export interface Respond {
    model: LlamaModel;
    /** Undefined where the model draws every token by itself. */
    agent: MaraAgent | undefined;
    prompts: readonly Prompt[];
    /** The tokens of each prompt. */
    texts: readonly (readonly Token[])[];
    seeds: readonly number[];
    /** Undefined where the agent explores. */
    threshold: number | undefined;
    limits: ResponseLimits;
    onTrajectory: (trajectory: Trajectory, index: number) => void;
    /** Called after each step with the number of tokens that it gave. */
    onTokens: ((count: number) => void) | undefined;
    /** Called before every decode; throws to end the run. */
    requireOpen: () => void;
}

export async function respond(engine: RolloutEngine, work: Respond): Promise<void> {
    const {model, agent, prompts, texts, seeds, threshold, limits, onTrajectory, onTokens, requireOpen} = work;
    const stop = stopTriggers(model);
    let next = 0;
    let open: Running[] = [];
    for (;;) {
        while (open.length < engine.sequences && next < prompts.length) {
            requireOpen();
            const index = next++;
            const tokens = texts[index] as readonly Token[];
            const maxTokens = Math.min(limits.maxTokens, limits.contextSize - tokens.length);
            const uniform = uniformStream(seeds[index] as number);
            const {decisions} = limits;
            const decide = (candidates: readonly Candidate[]) =>
                agent === undefined
                    ? sampled(candidates, uniform)
                    : threshold === undefined
                      ? exploring(candidates, decisions, uniform)
                      : deciding(candidates, decisions, threshold, uniform);
            const episode = new Episode(model, prompts[index] as Prompt, stop, {
                maxTokens,
                decide,
                keepsAll: agent === undefined
            });
            const {text, candidates} = await engine.begin(tokens);
            open.push(new Running(index, episode, text, candidates));
        }
        if (open.length === 0) return;
        requireOpen();
        // The first has waited longest. Texts that took part go to the end of the queue.
        const group: Running[] = [];
        let places = engine.places;
        for (const running of open) {
            const wanted = engine.placesOf(running.step);
            if (wanted > places && group.length > 0) continue;
            group.push(running);
            places -= wanted;
        }
        const outcomes = await engine.step(
            group.map(({step}) => step),
            agent?._native
        );
        onTokens?.(group.length);
        open = open.filter((running) => !group.includes(running));
        for (const [i, running] of group.entries()) {
            const trajectory = running.enter(outcomes[i] as (typeof outcomes)[number]);
            if (trajectory === undefined) open.push(running);
            else {
                engine.end(running.step.text);
                onTrajectory(trajectory, running.index);
            }
        }
    }
}

/** A response under way, with its place in the cache. */
class Running {
    readonly index: number;
    readonly #episode: Episode;
    readonly #text: RolloutText;
    step: TextStep;

    constructor(index: number, episode: Episode, text: RolloutText, candidates: readonly Candidate[]) {
        this.index = index;
        this.#episode = episode;
        this.#text = text;
        this.step = this.#stepWith(candidates);
    }

    /** The trajectory, if it is complete. */
    enter(outcome: Awaited<ReturnType<RolloutEngine["step"]>>[number]): Trajectory | undefined {
        this.#episode.enter(this.step.decision, outcome);
        if (outcome.next !== undefined) this.step = this.#stepWith(outcome.next);
        return this.#episode.trajectory;
    }

    #stepWith(candidates: readonly Candidate[]): TextStep {
        return {
            text: this.#text,
            decision: this.#episode.decide(candidates),
            goesOn: (token) => this.#episode.goesOn(token)
        };
    }
}
