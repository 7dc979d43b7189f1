/** Generates decisions with an agent and has all candidates of each judged. */
import type {Token} from "node-llama-cpp";
import type {MaraAgent} from "../../agent/agent.js";
import {promptTokens} from "../../generation/prompt-tokens.js";
import type {Prompt} from "../../prompts/prompts.js";
import type {Rollouts, Trajectory} from "../rollout/rollouts.js";
import {derivedSeed, shuffled, use} from "../seeds.js";
import {LabelStore} from "./labels.js";

/** Share of the prompts, and of the decisions, that are held out. */
const heldOutShare = 0.15;
/** Prompts answered between two looks at how many decisions there are. */
export const promptsPerBlock = 16;

export interface Collecting {
    rollouts: Rollouts;
    agent: MaraAgent;
    prompts: readonly Prompt[];
    threshold: number;
    /** Decisions wanted, the held-out ones included. */
    decisions: number;
    /** Responses after which it ends with fewer. */
    responses: number;
    seed: number;
    /** Told how many decisions there are. */
    onDecisions: (done: number) => void;
    signal: AbortSignal | undefined;
}

export interface Collected {
    training: LabelStore;
    heldOut: LabelStore;
    /** Indexes of the prompts whose responses are held out. */
    heldOutPrompts: ReadonlySet<number>;
    /** False if the signal ended it; what was there by then is kept. */
    completed: boolean;
}

/**
 * Prompts are answered once at the threshold, until there are as many decisions as wanted; where they do not suffice, they are answered
 * again and again by exploring, which leads to other texts. Held-out prompts take turns with the others by the decisions that they give,
 * so that there are enough of both whenever the signal comes.
 */
export async function collectLabels(work: Collecting): Promise<Collected> {
    const {rollouts, prompts, decisions, responses, seed, onDecisions} = work;
    const width = rollouts.model.embeddingVectorSize;
    const order = [...shuffled(prompts.length, derivedSeed(seed, use.student))];
    const size = Math.max(1, Math.round(heldOutShare * order.length));
    const heldOut = new Asked(order.slice(0, size), width);
    const training = new Asked(order.slice(size), width);
    let completed = true;
    let answered = 0;
    const isDone = (done: number) =>
        (done >= decisions && heldOut.store.decisions >= heldOutShare * decisions) || answered >= responses;
    for (let done = 0; completed && !isDone(done); ) {
        const next = heldOut.store.decisions < heldOutShare * done ? heldOut : training;
        const before = next.store.decisions;
        const block = next.block();
        completed = await answerBlock(work, block, next.pass, next.store);
        answered += block.length;
        done = heldOut.store.decisions + training.store.decisions;
        onDecisions(Math.min(decisions, done));
        if (next.store.decisions > before) next.emptyBlocks = 0;
        // Texts that hold no decision in a whole pass never will.
        else if (++next.emptyBlocks * promptsPerBlock >= next.prompts) break;
    }
    const heldOutPrompts = new Set(order.slice(0, size));
    return {training: training.store, heldOut: heldOut.store, heldOutPrompts, completed};
}

/** Prompts that are answered one block after the other, again and again. */
class Asked {
    readonly store: LabelStore;
    /** How many times all prompts were answered before this block. */
    pass = 0;
    /** Latest blocks without a decision. */
    emptyBlocks = 0;
    readonly #indexes: readonly number[];
    #next = 0;

    constructor(indexes: readonly number[], width: number) {
        this.#indexes = indexes;
        this.store = new LabelStore(width);
    }

    get prompts(): number {
        return this.#indexes.length;
    }

    block(): readonly number[] {
        if (this.#next >= this.#indexes.length) {
            this.pass++;
            this.#next = 0;
        }
        const first = this.#next;
        this.#next += promptsPerBlock;
        return this.#indexes.slice(first, this.#next);
    }
}

/** False if the signal ended it. Responses that were complete by then count. */
async function answerBlock(
    {rollouts, agent, prompts, threshold, seed, signal}: Collecting,
    indexes: readonly number[],
    pass: number,
    store: LabelStore
): Promise<boolean> {
    const asked = indexes.map((index) => prompts[index] as Prompt);
    const seeds = indexes.map((index) => derivedSeed(seed, use.student, pass, index));
    const trajectories: Trajectory[] = [];
    const enter = (trajectory: Trajectory, i: number) => {
        trajectories[i] = trajectory;
    };
    try {
        await rollouts.run(agent, asked, seeds, enter, {
            ...(signal && {signal}),
            ...(pass === 0 && {threshold})
        });
    } catch (error) {
        if (!signal?.aborted) throw error;
    }
    const finished = trajectories.filter(({decisions}) => decisions.length > 0);
    const texts = finished.map(({prompt, tokens}) => {
        const before = promptTokens(rollouts.model, prompt);
        // The state before the first token is that of the prompt's last, which must have something before it.
        const first = before.length > 1 ? 0 : 1;
        const all: Token[] = [...before, ...tokens.slice(0, -1)];
        const cut = before.length - 1 + first;
        return {first, before: all.slice(0, cut), tokens: all.slice(cut)};
    });
    const readable = texts.flatMap((text, i) => (text.tokens.length > 0 ? [i] : []));
    const read: Float32Array[] = [];
    await rollouts.eachTokenStates(
        readable.map((i) => texts[i] as (typeof texts)[number]),
        ({states}, i) => {
            read[i] = states;
        }
    );
    for (const [i, index] of readable.entries())
        store.add(finished[index] as Trajectory, read[i] as Float32Array, (texts[index] as {first: number}).first);
    return !signal?.aborted;
}
