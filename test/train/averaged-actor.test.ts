import {describe, expect, it} from "vitest";
import {AveragedActor} from "../../lib/train/preference/averaged-actor.js";

const actor = (...values: number[]) => ({"ln.weight": {shape: [values.length], data: Float32Array.from(values)}});

describe("The average of an agent's weights", () => {
    it("goes 9 / (8 + n) of the way to the weights of the nth step", () => {
        const average = new AveragedActor(actor(100, 100), 0);
        for (const weights of [actor(1, 3), actor(2, 1), actor(5, -1), actor(7, 2)]) average.add(weights);
        // 1; 9/10 of the way to 2: 1.9; 9/11 of the way to 5: 4.436364; 9/12 of the way to 7.
        const [first, second] = [...(average.actor()["ln.weight"] as {data: Float32Array}).data];
        expect(first).toBeCloseTo(6.359091, 5);
        // 3; 1.2; −0.6; and 9/12 of the way to 2.
        expect(second).toBeCloseTo(1.35, 5);
    });

    it("goes on from what it was after so many steps", () => {
        const [whole, begun] = [new AveragedActor(actor(0), 0), new AveragedActor(actor(0), 0)];
        for (const value of [4, 1, 3]) whole.add(actor(value));
        for (const value of [4, 1]) begun.add(actor(value));
        const resumed = new AveragedActor(begun.actor(), 2);
        resumed.add(actor(3));
        expect(resumed.actor()).toEqual(whole.actor());
    });
});
