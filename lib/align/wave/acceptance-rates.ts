/** The weight of a decision shrinks by this factor with each later one, so that about the last hundred count. */
const forgetting = 0.99;

/** Rates assumed at first: the first candidate is mostly accepted, one after a rejection about every second time. */
const prior = {first: 0.9, later: 0.5, weight: 4};

/** How often the candidate at each place of the evaluation order is accepted when it is reached. */
export class AcceptanceRates {
    readonly #tried: number[] = [];
    readonly #accepted: number[] = [];

    /** Enters a decision that tried `tried` candidates; `accepted` tells of the last one. */
    observe(tried: number, accepted: boolean): void {
        for (let place = 0; place < tried; place++) {
            this.#tried[place] = (this.#tried[place] ?? 0) * forgetting + 1;
            this.#accepted[place] = (this.#accepted[place] ?? 0) * forgetting + Number(accepted && place === tried - 1);
        }
    }

    at(place: number): number {
        const expected = place === 0 ? prior.first : prior.later;
        const tried = this.#tried[place] ?? 0;
        return ((this.#accepted[place] ?? 0) + expected * prior.weight) / (tried + prior.weight);
    }
}
