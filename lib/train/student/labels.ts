/** What a student is fitted to: an agent's verdicts on all candidates of decisions, with what is known before any of them is decoded. */
import type {Token} from "node-llama-cpp";
import {largestLogit} from "../../agent/calibration.js";
import type {Trajectory} from "../rollout/rollouts.js";
import {concatenate, gather} from "../rollout/rows.js";

/** As the cascade cuts them. */
const minLogProbability = Math.log(1e-6);

/** The decisions of one response, one item of `tokens` and so on for each candidate. */
export interface ResponseLabels {
    /** Hidden state of the token before each decision, [decisions][width]. */
    states: Float32Array;
    /** Candidates of each decision. */
    sizes: number[];
    tokens: number[];
    /** Among the candidates, at temperature 1. */
    logProbabilities: number[];
    ranks: number[];
    /** The agent's, cut at ±8. */
    logits: number[];
}

/** The labels of responses that belong together, as arrays. */
export interface Labels {
    width: number;
    states: Float32Array;
    /** Row of `states`, for each label. */
    state: Int32Array;
    token: Int32Array;
    logProbability: Float32Array;
    /** ln(1 + rank) */
    rank: Float32Array;
    logit: Float32Array;
}

/** Collects responses, by whether their prompt is held out. */
export class LabelStore {
    readonly width: number;
    readonly #responses: ResponseLabels[] = [];

    constructor(width: number) {
        this.width = width;
    }

    get decisions(): number {
        return this.#responses.reduce((sum, {sizes}) => sum + sizes.length, 0);
    }

    get labels(): number {
        return this.#responses.reduce((sum, {tokens}) => sum + tokens.length, 0);
    }

    /** `states`: of the token before each of the response's, from its token number `first` on, [tokens][width]. */
    add({decisions}: Trajectory, states: Float32Array, first: number): void {
        const known = decisions.filter(({tokenIndex}) => tokenIndex >= first);
        const candidates = known.flatMap(({candidates}) => candidates as readonly Token[]);
        this.enter({
            states: gather(
                states,
                known.map(({tokenIndex}) => tokenIndex - first),
                this.width
            ),
            sizes: known.map(({candidates}) => candidates.length),
            tokens: candidates,
            logProbabilities: known.flatMap(({logProbabilities}) => Array.from(logProbabilities)),
            ranks: known.flatMap(({candidates}) => candidates.map((_, rank) => rank)),
            logits: known.flatMap(({acceptProbabilities}) => Array.from(acceptProbabilities, logit))
        });
    }

    enter(labels: ResponseLabels): void {
        this.#responses.push(labels);
    }

    join(): Labels {
        const responses = this.#responses;
        let row = 0;
        return {
            width: this.width,
            states: concatenate(responses.map(({states}) => states)),
            state: Int32Array.from(
                responses.flatMap(({sizes}) =>
                    sizes.flatMap((size) => {
                        const own = row++;
                        return Array.from({length: size}, () => own);
                    })
                )
            ),
            token: Int32Array.from(responses.flatMap(({tokens}) => tokens)),
            logProbability: Float32Array.from(
                responses.flatMap(({logProbabilities}) =>
                    logProbabilities.map((value) => Math.max(value, minLogProbability))
                )
            ),
            rank: Float32Array.from(responses.flatMap(({ranks}) => ranks.map((rank) => Math.log1p(rank)))),
            logit: Float32Array.from(responses.flatMap(({logits}) => logits))
        };
    }
}

/** The logit of a probability, cut: verdicts beyond are as good as certain, and fitted by squared error they would outweigh all others. */
export function logit(probability: number): number {
    return Math.max(-largestLogit, Math.min(largestLogit, Math.log(probability) - Math.log1p(-probability)));
}
