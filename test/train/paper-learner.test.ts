/** What the learner does otherwise with the options of the authors' script. Its arithmetic is checked in learner-golden.test.ts. */
import {expect, it} from "vitest";
import {readSafetensors} from "../../lib/agent/safetensors.js";
import {toFloat32} from "../../lib/agent/tensor.js";
import {Learner, type LearnerOptions} from "../../lib/train/learner/learner.js";
import {failure} from "../support/failure.js";
import {seededRandom} from "../support/random.js";

const width = 6;

/** `count` transitions that lead nowhere, with rewards 0, 100, 300, 700, … */
function learnerWith(count: number, options: Partial<LearnerOptions>): Learner {
    const learner = new Learner({width, hidden1: 5, hidden2: 3, threads: 1, ...options});
    const random = seededRandom(count);
    learner.addTransitions({
        states: Float32Array.from({length: count * width}, () => random.normal()),
        state: Int32Array.from({length: count}, (_, i) => i),
        action: new Uint8Array(count),
        reward: Float32Array.from({length: count}, (_, i) => 100 * (2 ** i - 1)),
        nextState: new Int32Array(count).fill(-1)
    });
    return learner;
}

it.each([8, 20])("A batch of %i without replacement holds each of eight transitions once", async (batchSize) => {
    using learner = learnerWith(8, {batchSize, replacement: false, seed: 3});
    using expected = learnerWith(8, {batchSize: 8, seed: 3});
    const {criticLoss, q} = await learner.update(1);
    const all = await expected._updateOn(Int32Array.from({length: 8}, (_, age) => age));
    expect(criticLoss / all.criticLoss).toBeCloseTo(1, 5);
    expect(q).toBeCloseTo(all.q, 5);
    using replacing = learnerWith(8, {batchSize: 8, seed: 3});
    expect((await replacing.update(1)).criticLoss / all.criticLoss).not.toBeCloseTo(1, 1);
});

it("Without replacement each set of transitions is as likely", async () => {
    const pairs = new Map<string, number>();
    for (let seed = 0; seed < 300; seed++) {
        using learner = learnerWith(3, {batchSize: 2, replacement: false, seed});
        // The rewards are far larger than the critics' values: the loss tells the pair.
        const {criticLoss} = await learner.update(1);
        const drawn = [5000, 45_000, 50_000].reduce((best, each) =>
            Math.abs(each - criticLoss) < Math.abs(best - criticLoss) ? each : best
        );
        pairs.set(`${drawn}`, (pairs.get(`${drawn}`) ?? 0) + 1);
    }
    expect([...pairs.keys()].sort()).toEqual(["45000", "5000", "50000"]);
    for (const count of pairs.values()) expect(Math.abs(count - 100)).toBeLessThan(35);
});

/** A network's tensor in a saved learner. */
function tensorOf(learner: Learner, name: string): Float32Array {
    return toFloat32(readSafetensors(learner.save()).tensors.get(name) as never);
}

it("Targets move once in so many updates, also when the learner was restored between them", async () => {
    const options = {width, hidden1: 5, hidden2: 3, threads: 1, batchSize: 4, targetEvery: 3, replacement: false};
    using learner = learnerWith(8, options);
    const start = tensorOf(learner, "target1.linear1.weight");
    await learner.update(2);
    expect(tensorOf(learner, "target1.linear1.weight")).toEqual(start);
    using restored = Learner.restore(learner.save(), options);
    restored.addTransitions({
        states: new Float32Array(width),
        state: Int32Array.of(0),
        action: Uint8Array.of(1),
        reward: Float32Array.of(1),
        nextState: Int32Array.of(-1)
    });
    await restored.update(1);
    expect(tensorOf(restored, "target1.linear1.weight")).not.toEqual(start);
});

it("Critics that share LayerNorm have one, and others two", async () => {
    for (const sharedCritics of [true, false]) {
        using learner = learnerWith(8, {batchSize: 4, sharedCritics});
        await learner.update(5);
        const [first, second] = ["critic1.ln.weight", "critic2.ln.weight"].map((name) => tensorOf(learner, name));
        expect(first).not.toEqual(new Float32Array(width).fill(1));
        if (sharedCritics) expect(first).toEqual(second);
        else expect(first).not.toEqual(second);
    }
});

it.each([
    [{targetEvery: 0}, "Expected a whole number from 1 to 1000000 for options.targetEvery but received 0"],
    [{criticLossScale: 0}, "Expected a finite number above 0 for options.criticLossScale but received 0"],
    [{alphaLoss: "log"}, 'Expected one of "log-alpha", "alpha" for options.alphaLoss but received "log"'],
    [{replacement: 1}, "Expected a boolean for options.replacement but received 1"]
])("A learner refuses %j", async (options, message) => {
    expect(await failure(() => new Learner({width, ...options} as LearnerOptions))).toEqual({
        code: "INVALID_ARGUMENT",
        message
    });
});
