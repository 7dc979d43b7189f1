import {PredictionAccount} from "./account.js";

/** The weight of a prediction shrinks by this factor with each later one, so that about the last twenty count. */
const forgetting = 0.95;

/** Assumed before anything was predicted. */
const prior = {rate: 0.5, weight: 2};

class Rate {
    #hits = prior.rate * prior.weight;
    #count = prior.weight;

    observe(isHit: boolean): void {
        this.#hits = this.#hits * forgetting + Number(isHit);
        this.#count = this.#count * forgetting + 1;
    }

    get value(): number {
        return this.#hits / this.#count;
    }
}

/** What a sequence's token predictor expects, and how often that is emitted. Learnt from every prediction, decoded or not. */
export class Predictions {
    #position = 0;
    #tokens: readonly number[] = [];
    #wasHit = false;
    readonly #afterMiss = new Rate();
    readonly #afterHit = new Rate();
    readonly account: PredictionAccount;

    /** The sequence's account goes from one evaluation to the next. */
    constructor(account = new PredictionAccount()) {
        this.account = account;
        account.interrupt();
    }

    /** `tokens` are expected from `position` on, and nothing else. */
    expect(position: number, tokens: readonly number[]): void {
        this.#position = position;
        this.#tokens = tokens;
    }

    /** What is expected from `position` on. */
    from(position: number): readonly number[] {
        return position === this.#position ? this.#tokens : [];
    }

    /** A token was chosen for this position. */
    emitted(position: number, token: number): void {
        const [expected, ...others] = this.from(position);
        const isHit = expected === token;
        this.account.emitted(position, token, isHit);
        if (expected === undefined) return;
        (this.#wasHit ? this.#afterHit : this.#afterMiss).observe(isHit);
        this.#wasHit = isHit;
        this.expect(position + 1, isHit ? others : []);
    }

    /** The probabilities that the first of `count` expected tokens is emitted, the first two, … `isHit`: the token before is an expected one. */
    chances(count: number, isHit = this.#wasHit): number[] {
        let chance = isHit ? this.#afterHit.value : this.#afterMiss.value;
        return Array.from({length: count}, (_, i) => {
            if (i > 0) chance *= this.#afterHit.value;
            return chance;
        });
    }
}
