import {MaraError} from "../../errors.js";
import {logSum} from "./logits.js";
import type {TokenMap} from "./vocabulary.js";

/** How well the vocabulary of a guide's model fits that of the guided model. */
export interface MappedShare {
    /** The option that names the model: "tuned", "base", "amateur". */
    model: string;
    /** Share of the guided model's tokens whose text is a token of the other model, too. */
    tokens: number;
    /** Mean share of the guided model's probability, over all steps so far, on tokens that could be mapped. 1 before the first step. */
    probability: number;
    /** The same for tokens that are mapped to their like. */
    exactProbability: number;
}

/** Logits of another vocabulary in terms of the guided model's tokens. */
export class MappedLogits {
    readonly #name: string;
    readonly #map: TokenMap;
    readonly #least: number;
    readonly #isChange: boolean;
    #steps = 0;
    #mapped = 0;
    #exact = 0;

    /** `least`: the mean share of probability that must be mapped. `isChange`: the logits are changes, which have no common scale to be put on. */
    constructor(name: string, map: TokenMap, {least, isChange}: {least: number; isChange: boolean}) {
        this.#name = name;
        this.#map = map;
        this.#least = least;
        this.#isChange = isChange;
    }

    get share(): MappedShare {
        const {exact} = this.#map;
        const mean = (sum: number) => (this.#steps === 0 ? 1 : sum / this.#steps);
        return {
            model: this.#name,
            tokens: exact.filter(Boolean).length / exact.length,
            probability: mean(this.#mapped),
            exactProbability: mean(this.#exact)
        };
    }

    /** The text in the other vocabulary. */
    spell(tokens: readonly number[]): number[] {
        const {first} = this.#map;
        const spelt = tokens.flatMap((token) => this.#map.spell(token));
        return first === undefined || spelt[0] === first ? spelt : [first, ...spelt];
    }

    /**
     * One logit per token of the guided model, NaN where it could not be mapped, on the scale of `own`: the logarithms of the probabilities' sums
     * are the same.
     * @throws MaraError GUIDE_VOCABULARY
     */
    map(other: Float32Array, own: Float32Array): Float32Array {
        const {heads} = this.#map;
        this.#count(own);
        const offset = this.#isChange ? 0 : logSum(own) - logSum(other);
        const mapped = new Float32Array(heads.length);
        for (let token = 0; token < heads.length; token++) {
            const head = heads[token] as number;
            mapped[token] = head < 0 ? Number.NaN : (other[head] as number) + offset;
        }
        return mapped;
    }

    #count(own: Float32Array): void {
        const {heads, exact} = this.#map;
        const total = logSum(own);
        let mapped = 0;
        let same = 0;
        for (let token = 0; token < own.length; token++) {
            if ((heads[token] as number) < 0) continue;
            const probability = Math.exp((own[token] as number) - total);
            mapped += probability;
            if (exact[token]) same += probability;
        }
        this.#steps++;
        this.#mapped += mapped;
        this.#exact += same;
        const mean = this.#mapped / this.#steps;
        if (mean >= this.#least) return;
        const found = `${(100 * mean).toFixed(1)} %`;
        const fix = "Take a model whose vocabulary is nearer, or a lower minMapped.";
        throw new MaraError(
            "GUIDE_VOCABULARY",
            `Only ${found} of the probability could be mapped to tokens of ${this.#name}, less than ${100 * this.#least} %. ${fix}`
        );
    }
}
