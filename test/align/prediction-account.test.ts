/** When predicted tokens are decoded along: the account of what they cost and save. */
import {expect, it} from "vitest";
import {PredictionAccount} from "../../lib/align/predict/account.js";

const tokens = [1, 2, 3];
const wrong = 9;

/** A text of `length` tokens of which every fourth has a run behind it. `right`: how many tokens of it come true. Gives what decoding cost and saved. */
function write(
    account: PredictionAccount,
    length: number,
    {cost, right}: {cost: number; right: (isDecoded: boolean) => number}
) {
    let [decoded, lost] = [0, 0];
    for (let position = 0; position < length; position += 4) {
        const isDecoded = account.takes(position + 1, tokens, () => cost);
        const count = right(isDecoded);
        account.emitted(position, 0, true);
        for (const [i, token] of tokens.entries()) account.emitted(position + 1 + i, i < count ? token : wrong, false);
        if (!isDecoded) continue;
        decoded++;
        lost += cost - count;
    }
    return {decoded, lost};
}

it("What never comes true is never decoded along", () => {
    expect(write(new PredictionAccount(), 10_000, {cost: 0.1, right: () => 0})).toEqual({decoded: 0, lost: 0});
});

it("What mostly does is decoded once it would have paid", () => {
    expect(write(new PredictionAccount(), 400, {cost: 1, right: () => 3})).toEqual({decoded: 99, lost: -198});
});

it("What comes true only where it is not decoded costs one token in a hundred at most, and one run", () => {
    for (const cost of [0.2, 1, 2.5]) {
        const {decoded, lost} = write(new PredictionAccount(), 10_000, {
            cost,
            right: (isDecoded) => (isDecoded ? 0 : 3)
        });
        expect(decoded).toBeGreaterThan(1);
        expect(lost).toBeLessThanOrEqual(100 + cost);
    }
});

it("A text that is foretold no more loses what was saved last, and no more than two tokens of it", () => {
    const account = new PredictionAccount();
    write(account, 400, {cost: 0.5, right: () => 3});
    const {decoded, lost} = write(account, 400, {cost: 0.5, right: () => 0});
    expect(decoded).toBe(3);
    expect(lost).toBe(1.5);
});

it("A candidate that is rejected takes the run behind it with it", () => {
    const account = new PredictionAccount();
    write(account, 40, {cost: 1, right: () => 3});
    expect(account.takes(41, tokens, () => 1)).toBe(true);
    account.emitted(40, wrong, false);
    expect(account.takes(42, tokens, () => 1)).toBe(true);
});

it("What costs nothing is always decoded along", () => {
    expect(write(new PredictionAccount(), 40, {cost: 0, right: () => 0}).decoded).toBe(10);
});
