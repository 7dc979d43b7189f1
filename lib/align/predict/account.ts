/** What predictions must have earned, or would have, before any is decoded along: nothing is paid for a text that is not foretold. */
const deposit = 1;

/** Savings above these are forgotten, so that worse times are soon noticed. */
const most = {evidence: 1, balance: 2};

/** What predictions may cost for each token of the text without ever earning it. */
const allowance = 0.01;

interface CountedRun {
    readonly position: number;
    readonly tokens: readonly number[];
    /** Until it is paid. */
    cost: (() => number) | undefined;
    readonly isDecoded: boolean;
}

/**
 * What predicted tokens cost that are decoded along, and what they save, in single tokens' decodes. Runs that are not decoded are counted as
 * well: the text tells what would have become of them. A run is decoded where runs would have paid of late, and where those decoded have not
 * lost more than one token in a hundred.
 */
export class PredictionAccount {
    /** Of all runs. */
    #evidence = -deposit;
    /** Of the runs that were decoded. */
    #balance = 0;
    #run: CountedRun | undefined;

    /**
     * True if these tokens are to be decoded from `position` on. `cost` is asked when their decode, if there was one, has been measured; 0 where
     * it does not matter.
     */
    takes(position: number, tokens: readonly number[], cost: () => number): boolean {
        const isFree = cost() === 0;
        if (this.#run?.isDecoded === false && !isFree) return false;
        // A run that was decoded is over where another may be.
        this.#pay();
        const isDecoded = isFree || (this.#evidence >= 0 && this.#balance >= 0);
        this.#run = {position, tokens, cost, isDecoded};
        return isDecoded;
    }

    /** A token was chosen for this position. `isExpected`: the predictor had expected it. */
    emitted(position: number, token: number, isExpected: boolean): void {
        this.#balance = Math.min(most.balance, this.#balance + allowance);
        const run = this.#run;
        if (run === undefined) return;
        this.#pay();
        const at = position - run.position;
        // The candidate that the run stands behind is the one that was expected.
        const isRight = at < 0 ? isExpected : run.tokens[at] === token;
        if (at >= 0 && isRight) this.#add(1, run);
        if (!isRight || at === run.tokens.length - 1) this.#run = undefined;
    }

    /** The text does not go on where it was. */
    interrupt(): void {
        this.#run = undefined;
    }

    #pay(): void {
        const run = this.#run;
        if (run?.cost === undefined) return;
        this.#add(-run.cost(), run);
        run.cost = undefined;
    }

    #add(amount: number, {isDecoded}: CountedRun): void {
        this.#evidence = Math.min(most.evidence, Math.max(-deposit, this.#evidence + amount));
        if (isDecoded) this.#balance = Math.min(most.balance, this.#balance + amount);
    }
}
