/** Weight that a decision loses with each later one: about the last hundred count. */
const forgetting = 0.99;

/** Before anything was seen: the first candidate is mostly accepted, one after a rejection about every second time. */
const prior = {first: 0.9, later: 0.5, weight: 4};

/** How often the candidate at each place of the evaluation order is accepted, once it is its turn. */
export class AcceptanceRates {
    readonly #tried: number[] = [];
    readonly #accepted: number[] = [];

    /** A decision tried `tried` candidates, the last of which was accepted or not. */
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
