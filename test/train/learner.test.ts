import {describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {readSafetensors, writeSafetensors} from "../../lib/agent/safetensors.js";
import {Learner, type LearnerOptions, type Transitions} from "../../lib/train/learner/learner.js";
import {failure, random, randomStates, smallTensors} from "../agent/helpers.js";

const width = 12;
const options: LearnerOptions = {width, hidden1: 20, hidden2: 8, batchSize: 32, seed: 3, threads: 1};

/** One episode of `count` decisions over `count` states. */
function episode(count: number, seed = 1, stateWidth = width): Transitions {
    const next = random(seed);
    return {
        states: randomStates(count, stateWidth, seed),
        state: Int32Array.from({length: count}, (_, i) => i),
        action: Uint8Array.from({length: count}, () => next(0, 1)),
        reward: Float32Array.from({length: count}, () => next(-100, 100) / 100),
        nextState: Int32Array.from({length: count}, (_, i) => (i + 1 < count ? i + 1 : -1))
    };
}

describe("updates", () => {
    test("learn which states deserve acceptance", async () => {
        using learner = new Learner({...options, gamma: 0, learningRate: 3e-3, initialAlpha: 0.05, targetEntropy: 0.1});
        const count = 400;
        const {states, ...others} = episode(count, 5);
        const good = (row: number) => (states[row * width] as number) > 0;
        // Accepting pays where the first number of the state is above 0, rejecting elsewhere.
        const reward = Float32Array.from(others.action, (action, row) => ((action === 1) === good(row) ? 1 : -1));
        learner.addTransitions({states, ...others, reward});
        const first = await learner.update(1);
        const last = await learner.update(300);
        expect(last.criticLoss).toBeLessThan(first.criticLoss);
        expect(last.alpha).not.toBe(first.alpha);
        using agent = MaraAgent.fromTensors(learner.actor(), {dtype: "f32"});
        const right = [...agent.score(states)].filter((p, row) => p > 0.5 === good(row)).length;
        expect(right / count).toBeGreaterThan(0.95);
    });

    test("give the same bits with any number of threads and wherever calls are cut", async () => {
        const results: Uint8Array[] = [];
        for (const [threads, calls] of [
            [1, [5]],
            [1, [2, 3]],
            [3, [5]]
        ] as const) {
            using learner = new Learner({...options, threads});
            learner.addTransitions(episode(100));
            for (const count of calls) await learner.update(count);
            results.push(learner.save());
        }
        expect(results[1]).toEqual(results[0]);
        expect(results[2]).toEqual(results[0]);
    });

    test("differ by the seed", async () => {
        using one = new Learner(options);
        using other = new Learner({...options, seed: 4});
        expect(one.actor()["linear1.weight"].data).not.toEqual(other.actor()["linear1.weight"].data);
    });

    test("see the transitions added before the call, and those only", async () => {
        const run = async (awaited: boolean) => {
            using learner = new Learner(options);
            learner.addTransitions(episode(50, 1));
            const update = learner.update(3);
            if (awaited) await update;
            learner.addTransitions(episode(70, 2));
            expect(learner.replaySize).toBe(120);
            await Promise.all([update, learner.update(3)]);
            return learner.save();
        };
        expect(await run(false)).toEqual(await run(true));
    });

    test("forget the oldest transitions beyond the capacity", async () => {
        const run = async (episodes: Transitions[], replayCapacity: number) => {
            using learner = new Learner({...options, replayCapacity});
            for (const transitions of episodes) learner.addTransitions(transitions);
            expect(learner.replaySize).toBe(60);
            await learner.update(3);
            return learner.save();
        };
        const kept = episode(60, 9);
        expect(await run([episode(45, 1), episode(30, 2), kept], 60)).toEqual(await run([kept], 1000));
    });

    test("leave the event loop free", async () => {
        using learner = new Learner({width: 256, batchSize: 1024, threads: 1});
        learner.addTransitions(episode(200, 1, 256));
        let turns = 0;
        const timer = setInterval(() => turns++, 1);
        const start = performance.now();
        await learner.update(4);
        clearInterval(timer);
        // Every update takes tens of milliseconds; a blocked loop would turn not once.
        expect(turns).toBeGreaterThan((performance.now() - start) / 50);
    });
});

describe("fit", () => {
    test("learns labels, counting each by its weight", async () => {
        using learner = new Learner({...options, learningRate: 3e-3});
        const states = randomStates(200, width, 6);
        const labels = Uint8Array.from({length: 200}, (_, row) => ((states[row * width] as number) > 0 ? 1 : 0));
        // Without weight a wrong label does no harm.
        const wrong = labels.map((label, row) => (row % 4 === 0 ? 1 - label : label));
        const weights = Float32Array.from({length: 200}, (_, row) => (row % 4 === 0 ? 0 : 1 + (row % 3)));
        const before = await learner.fit({states, labels: wrong, weights});
        expect(before.loss).toBeGreaterThan(0.5);
        let after = before;
        for (let step = 0; step < 200; step++) after = await learner.fit({states, labels: wrong, weights});
        expect(after.accuracy).toBeGreaterThan(0.97);
        using agent = MaraAgent.fromTensors(learner.actor(), {dtype: "f32"});
        const right = [...agent.score(states)].filter((p, row) => p > 0.5 === (labels[row] === 1)).length;
        expect(right).toBeGreaterThan(180);
    });

    test("takes a learning rate of its own", async () => {
        using learner = new Learner(options);
        const before = learner.actor();
        const batch = {states: randomStates(4, width), labels: new Uint8Array(4), weights: new Float32Array(4).fill(1)};
        await learner.fit(batch, {learningRate: 0});
        expect(learner.actor()).toEqual(before);
    });
});

describe("saving", () => {
    test("goes on bit for bit, supervised steps and the replay's randomness included", async () => {
        const batch = {states: randomStates(9, width), labels: new Uint8Array(9), weights: new Float32Array(9).fill(1)};
        using whole = new Learner(options);
        whole.addTransitions(episode(80));
        await whole.update(3);
        await whole.fit(batch);
        const saved = whole.save();
        using restored = Learner.restore(saved, {...options, seed: 77, threads: 2});
        restored.addTransitions(episode(80));
        expect(restored.save()).toEqual(saved);
        for (const learner of [whole, restored]) {
            await learner.update(4);
            await learner.fit(batch);
        }
        expect(restored.save()).toEqual(whole.save());
        expect(restored.save()).not.toEqual(saved);
    });

    test("refuses what is no saved learner, or one of other sizes", async () => {
        using learner = new Learner(options);
        const saved = learner.save();
        const restore = (bytes: Uint8Array, changed: Partial<LearnerOptions> = {}) =>
            failure(() => Learner.restore(bytes, {...options, ...changed}));
        expect(await restore(saved, {width: 13})).toMatchObject({
            code: "LEARNER_STATE",
            message: "Could not restore the learner: its width is 12, but 13 was asked for"
        });
        expect(await restore(saved.subarray(0, 500))).toMatchObject({code: "LEARNER_STATE"});
        expect(await restore(new Uint8Array(3))).toMatchObject({code: "LEARNER_STATE"});
        const {tensors, metadata} = readSafetensors(saved);
        tensors.delete("target1.linear1.bias");
        expect(await restore(writeSafetensors(tensors, metadata))).toMatchObject({
            code: "LEARNER_STATE",
            message: 'Could not restore the learner: "target1.linear1.bias" is missing but F32 [20] was expected'
        });
        expect(await restore(writeSafetensors(tensors, {}))).toMatchObject({
            message: "Could not restore the learner: It is no saved learner"
        });
        expect(await restore(writeSafetensors(new Map(), metadata))).toMatchObject({code: "LEARNER_STATE"});
    });
});

describe("the actor", () => {
    test("starts from the tensors given", async () => {
        const actor = smallTensors(1, width, 6, 4);
        using learner = new Learner({width, actor});
        expect(learner.hiddenSizes).toEqual([6, 4]);
        expect(learner.actor()).toEqual(actor);
    });

    test("must fit", async () => {
        const actor = smallTensors(1, width, 6, 4);
        expect(await failure(() => new Learner({width: 13, actor}))).toMatchObject({code: "AGENT_WIDTH"});
        expect(await failure(() => new Learner({width, hidden1: 7, actor}))).toMatchObject({
            message: "Expected 6, the actor's, for options.hidden1 but received 7"
        });
        expect(await failure(() => new Learner({width, actor: {}}))).toMatchObject({code: "AGENT_TENSORS"});
    });

    test("has the published sizes by default", () => {
        using learner = new Learner({width: 4, hidden1: 40});
        expect(learner.hiddenSizes).toEqual([40, 10]);
        using published = new Learner({width: 4});
        expect(published.hiddenSizes).toEqual([1024, 256]);
    });
});

describe("misuse", () => {
    test("names the option", async () => {
        const cases: [Partial<Record<keyof LearnerOptions, unknown>>, string][] = [
            [{width: 0}, "Expected a whole number from 1 to 65536 for options.width but received 0"],
            [{gamma: 1.5}, "Expected a number from 0 to 1 for options.gamma but received 1.5"],
            [{learningRate: Number.NaN}, "Expected a number from 0 to 1 for options.learningRate but received NaN"],
            [{initialAlpha: 0}, "Expected a finite number above 0 for options.initialAlpha but received 0"],
            [{seed: -1}, "Expected a whole number from 0 to 9007199254740991 for options.seed but received -1"],
            [{threads: "2"}, 'Expected a whole number from 1 to 256 for options.threads but received "2"'],
            [{automaticAlpha: 1}, "Expected a boolean for options.automaticAlpha but received 1"]
        ];
        for (const [changed, message] of cases) {
            const wrong = {...options, ...changed} as LearnerOptions;
            expect(await failure(() => new Learner(wrong))).toMatchObject({code: "INVALID_ARGUMENT", message});
        }
    });

    test("names the transition", async () => {
        using learner = new Learner(options);
        const wrong = (change: Partial<Transitions>) =>
            failure(() => learner.addTransitions({...episode(3), ...change}));
        expect((await wrong({nextState: Int32Array.of(1, 3, -1)})).message).toBe(
            "Expected a row of states or -1 for nextState[1] but received 3"
        );
        expect((await wrong({action: Uint8Array.of(0, 1, 2)})).message).toBe(
            "Expected 0 or 1 for action[2] but received 2"
        );
        expect((await wrong({reward: Float32Array.of(0, Number.NaN, 0)})).message).toBe(
            "Expected a finite number for reward[1] but received NaN"
        );
        expect((await wrong({reward: new Float32Array(2)})).message).toBe(
            "Expected 3 items for the length of reward but received 2"
        );
        expect(await wrong({states: new Float32Array(35)})).toMatchObject({code: "AGENT_WIDTH"});
        expect((await wrong({state: [0] as unknown as Int32Array})).message).toBe(
            "Expected Int32Array for state but received Array"
        );
        expect(learner.replaySize).toBe(0);
    });

    test("refuses to update from nothing, and batches without weight", async () => {
        using learner = new Learner(options);
        await expect(learner.update(1)).rejects.toMatchObject({code: "LEARNER_EMPTY"});
        await expect(learner.update(0)).rejects.toMatchObject({code: "INVALID_ARGUMENT"});
        const states = randomStates(2, width);
        const labels = new Uint8Array(2);
        await expect(learner.fit({states, labels, weights: new Float32Array(2)})).rejects.toMatchObject({
            message: "Expected at least one weight above 0 for weights but received Float32Array(2)"
        });
        await expect(learner.fit({states, labels, weights: Float32Array.of(1, -1)})).rejects.toMatchObject({
            message: "Expected a finite number that is not negative for weights[1] but received -1"
        });
        await expect(learner._updateOn(new Int32Array(32))).rejects.toMatchObject({
            message: "Expected a transition of the replay for ages[0] but received 0"
        });
    });

    test("says so when a gradient overflows, and leaves the learner usable", async () => {
        using learner = new Learner(options);
        learner.addTransitions({
            ...episode(3),
            action: new Uint8Array(3),
            reward: new Float32Array(3).fill(3e38)
        });
        await expect(learner.update(1)).rejects.toMatchObject({code: "LEARNER_DIVERGED"});
        expect(learner.save().length).toBeGreaterThan(0);
    });

    test("refuses to read a learner that updates", async () => {
        using learner = new Learner(options);
        learner.addTransitions(episode(50));
        const update = learner.update(50);
        expect(await failure(() => learner.actor())).toMatchObject({code: "LEARNER_BUSY"});
        expect(await failure(() => learner.save())).toMatchObject({code: "LEARNER_BUSY"});
        await update;
        expect(learner.save().length).toBeGreaterThan(0);
    });
});

describe("disposal", () => {
    test("in the middle of an update rejects it and what waits", async () => {
        const learner = new Learner({width: 256, batchSize: 1024, threads: 1});
        learner.addTransitions(episode(200, 1, 256));
        const running = learner.update(1000);
        const waiting = learner.update(1);
        learner.dispose();
        learner.dispose();
        await expect(running).rejects.toMatchObject({code: "LEARNER_DISPOSED"});
        await expect(waiting).rejects.toMatchObject({code: "LEARNER_DISPOSED"});
        await expect(learner.update(1)).rejects.toMatchObject({code: "LEARNER_DISPOSED"});
        expect(await failure(() => learner.actor())).toMatchObject({code: "LEARNER_DISPOSED"});
        expect(await failure(() => learner.addTransitions(episode(2, 1, 256)))).toMatchObject({
            code: "LEARNER_DISPOSED"
        });
    });
});
