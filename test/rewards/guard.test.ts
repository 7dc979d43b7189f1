import {describe, expect, it} from "vitest";
import {openReward, type RewardFunction, type RewardResult, scoreGuarded} from "../../lib/index.js";
import {failure} from "../support/failure.js";

const prompt = {prompt: "Tell me.", system: "Be kind.", reference: "42"};

describe("a reward's result", () => {
    it("is a number, or a score with spans; the function gets prompt, response and the rest of the record", async () => {
        const calls: unknown[] = [];
        const reward = await openReward((...args) => {
            calls.push(args);
            return {score: 0.5, spans: [{start: 1, end: 3, score: -2}]};
        });
        expect(await reward.score(prompt, "abc")).toEqual({score: 0.5, spans: [{start: 1, end: 3, score: -2}]});
        expect(calls).toEqual([["Tell me.", "abc", {system: "Be kind.", reference: "42"}]]);
    });

    it.each<[unknown, string]>([
        [Number.NaN, "a finite number for its score but received NaN"],
        [Number.POSITIVE_INFINITY, "a finite number for its score but received Infinity"],
        [-1e308, "at most ±1e+30 for its score but received -1e+308. Scale the reward down"],
        [
            {score: 1, spans: [{start: 0, end: 1, score: 1e31}]},
            "at most ±1e+30 for spans[0].score but received 1e+31. Scale the reward down"
        ],
        [undefined, "a number or {score, spans} but received undefined"],
        ["0.5", "a number or {score, spans} but received 0.5"],
        [{}, "a finite number for its score but received undefined"],
        [{score: null}, "a finite number for its score but received null"],
        [{score: 1, spans: {}}, "an array of spans but received an object"],
        [{score: 1, spans: [1]}, "{start, end, score} for spans[0] but received 1"],
        [
            {score: 1, spans: [{start: 0, end: 4, score: 1}]},
            "offsets 0 ≤ start ≤ end ≤ 3 for spans[0] but received 0 and 4"
        ],
        [
            {score: 1, spans: [{start: 2, end: 1, score: 1}]},
            "offsets 0 ≤ start ≤ end ≤ 3 for spans[0] but received 2 and 1"
        ],
        [
            {score: 1, spans: [{start: 0.5, end: 1, score: 1}]},
            "offsets 0 ≤ start ≤ end ≤ 3 for spans[0] but received 0.5 and 1"
        ],
        [{score: 1, spans: [{start: 0, end: 1}]}, "a finite number for spans[0].score but received undefined"]
    ])("cannot be %j", async (result, expected) => {
        const reward = await openReward(function mine() {
            return result as RewardResult;
        });
        expect(await failure(() => reward.score(prompt, "abc"))).toEqual({
            code: "REWARD_FAILED",
            message: `Expected the reward mine to return ${expected}`
        });
    });

    it("of a Reward passed in is checked alike", async () => {
        const score = async () => ({score: Number.NaN, spans: []});
        const reward = await openReward({name: "theirs", score, dispose: async () => {}});
        expect((await failure(() => reward.score(prompt, ""))).message).toMatch(
            /^Expected the reward theirs to return/
        );
    });

    it("cannot come from anything but a text, a function or a reward", async () => {
        expect(await failure(() => openReward({} as RewardFunction))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected a text, a function or a Reward for reward but received Object"
        });
    });
});

describe("scoreGuarded", () => {
    /** A reward that behaves differently at each call. */
    function playing(...results: (() => RewardResult | Promise<RewardResult>)[]) {
        const calls = {count: 0};
        const reward = openReward(function played() {
            return (results[calls.count++] as () => RewardResult)();
        });
        return {calls, reward};
    }
    const throws = () => {
        throw new Error("offline");
    };
    const hangs = () => new Promise<RewardResult>(() => {});

    it("calls again after a throw, a hang and a NaN", async () => {
        const {calls, reward} = playing(
            throws,
            hangs,
            () => Number.NaN,
            () => 3
        );
        const options = {timeoutMs: 20, retries: 3};
        expect(await scoreGuarded(await reward, prompt, "", options)).toEqual({score: 3, spans: []});
        expect(calls.count).toBe(4);
    });

    it.each([
        ["a throw", throws, "The reward played failed: offline"],
        ["a hang", hangs, "The reward played took more than 20 ms"],
        [
            "a NaN",
            () => Number.NaN,
            "Expected the reward played to return a finite number for its score but received NaN"
        ]
    ])("gives up after %s at each call", async (_, result, reason) => {
        const {calls, reward} = playing(result, result, result);
        const opened = await reward;
        const refusal = await failure(() => scoreGuarded(opened, prompt, "", {timeoutMs: 20, retries: 2}));
        expect(refusal).toEqual({code: "REWARD_FAILED", message: `${reason} (the last of 3 calls)`});
        expect(calls.count).toBe(3);
    });

    it("does not call again when it must not", async () => {
        const {calls, reward} = playing(throws);
        const opened = await reward;
        const {message} = await failure(() => scoreGuarded(opened, prompt, "", {retries: 0}));
        expect(message).toBe("The reward played failed: offline");
        expect(calls.count).toBe(1);
    });

    it.each([
        [{timeoutMs: 0}, "Expected milliseconds above 0 and up to 2147483647 for timeoutMs but received 0"],
        [
            {timeoutMs: 1e12},
            "Expected milliseconds above 0 and up to 2147483647 for timeoutMs but received 1000000000000"
        ],
        [{retries: -1}, "Expected a whole number from 0 for retries but received -1"],
        [{retries: 1.5}, "Expected a whole number from 0 for retries but received 1.5"]
    ])("refuses %j", async (options, message) => {
        const reward = await openReward(() => 0);
        expect(await failure(() => scoreGuarded(reward, prompt, "", options))).toEqual({
            code: "INVALID_ARGUMENT",
            message
        });
    });
});
