import {mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {afterAll, describe, expect, it} from "vitest";
import {openReward, type RewardOptions} from "../../lib/index.js";
import {failure} from "../support/failure.js";

const folder = mkdtempSync(join(tmpdir(), "mara-rewards-"));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const prompt = {prompt: "Tell me."};
const rewards = {
    one: () => 1,
    ten: () => ({score: 10, spans: [{start: 0, end: 2, score: 4}]}),
    both: "one + ten"
};

async function score(spec: string, options: RewardOptions = {rewards}) {
    return await (await openReward(spec, options)).score(prompt, "response");
}

describe("weighted sums", () => {
    it.each([
        ["one", 1],
        ["-one", -1],
        ["2*one", 2],
        [" 2 * ten - one ", 19],
        ["0.5*ten+.5*one-1e1*one", -4.5],
        ["one-one", 0],
        ["2*(ten - 3*(one + one)) + one", 9],
        ["-(one - ten)", 9],
        ["2*both", 22],
        ["length + one", 2],
        ["3*length:2 words + one", 2.5],
        ["two = one + one; twenty = 2*ten; -two + 0.5*twenty", 8],
        ["a=length:2 words;a", 0.5],
        ["b = regex:/;/; b", 0]
    ])("%s = %d", async (spec, expected) => {
        expect((await score(spec)).score).toBe(expected);
    });

    it("asks a reward once for each response, however often sums of sums name it", async () => {
        let calls = 0;
        const counted = {rewards: {a: () => ++calls, twice: "a + a", fourfold: "twice + twice"}};
        const doubling = Array.from({length: 60}, (_, i) => `x${i + 1}=x${i}+x${i}`).join(";");
        expect(await score(`x0=a;${doubling};x60`, counted)).toEqual({score: 2 ** 60, spans: []});
        expect(await score("fourfold - 3*twice", counted)).toEqual({score: -2 * 2, spans: []});
        expect(calls).toBe(2);
    });

    it("limits nesting, length and weights", async () => {
        const nested = (depth: number) => `${"(".repeat(depth)}one${")".repeat(depth)}`;
        expect((await score(nested(100))).score).toBe(1);
        const refusal = async (spec: string, options?: RewardOptions) => {
            const {code, message} = await failure(() => score(spec, options));
            expect(code).toBe("REWARD_SPEC");
            expect(message.length).toBeLessThan(1500);
            return message;
        };
        expect(await refusal(nested(101))).toMatch(/: expected parentheses nested at most 100 deep at character 102, /);
        expect(await refusal(nested(8000))).toMatch(
            /: expected parentheses nested at most 100 deep at character 102, /
        );
        expect(await refusal(nested(20_000))).toMatch(
            /: expected at most 16384 characters; shorten it at character 16385, /
        );
        expect(await refusal("a=1e200*one; b=1e200*a; b")).toMatch(/: expected finite weights before what stands at /);
        const names = Array.from({length: 20_000}, (_, i) => [`n${i}`, i === 19_999 ? () => 1 : `n${i + 1}`] as const);
        expect(await refusal("n0", {rewards: Object.fromEntries(names)})).toMatch(
            /^The reward "n100": expected names defined by at most 100 further ones in a row at character 1, "n100"$/
        );
    });

    it("weights the spans", async () => {
        expect((await score("0.5*(regex:/s/ - 2*ten)")).spans).toEqual([
            {start: 2, end: 3, score: 0.5},
            {start: 6, end: 7, score: 0.5},
            {start: 0, end: 2, score: -4}
        ]);
    });

    it("is named after its text", async () => {
        expect((await openReward(" 2*one ", {rewards})).name).toBe("2*one");
        expect((await openReward("one", {rewards})).name).toBe("one");
        expect((await openReward("length:3")).name).toBe("length:3");
    });

    it.each([
        ["", "expected the name of a reward at its end"],
        ["2*", "expected the name of a reward at its end"],
        ["2*one - * ten", 'expected the name of a reward at character 9, "* ten"'],
        ["2 one", 'expected "*" after 2 at character 3, "one"'],
        ["one ten", 'expected "+", "-" or nothing more at character 5, "ten"'],
        ["(one + ten", 'expected ")" at its end'],
        ["one)", 'expected "+", "-" or nothing more at character 4, ")"'],
        ["1e999*one", 'expected finite weights before what stands at character 7, "one"'],
        ["one + module: - ten", 'expected something after "module:" at character 14, " - ten"'],
        ["one - helpful", 'there is no reward helpful; there are one, ten, both, NAMES; at character 7, "helpful"'],
        ["a = one ten", 'expected "+", "-" or ";" at character 9, "ten"'],
        ["a = one; a = ten; a", 'the name a is taken at character 10, "a = ten; a"'],
        ["length = one; length", 'the name length is taken at character 1, "length = one; length"'],
        ["ten = one; ten", 'the name ten is taken at character 1, "ten = one; ten"'],
        ["a = 2*one;", "expected the name of a reward at its end"],
        ["sentiment:3", 'sentiment takes nothing after a colon at character 1, "sentiment:3"'],
        ["one:3", 'one takes nothing after a colon at character 1, "one:3"'],
        ["one + regex", 'regex needs something after a colon at character 7, "regex"'],
        ['module:"a\\x"', 'expected a string as in JSON at character 8, "\\"a\\\\x\\""']
    ])("refuses %j", async (spec, reason) => {
        const {code, message} = await failure(() => score(spec));
        expect(code).toBe("REWARD_SPEC");
        const names = /there are one, ten, both, (?<names>[\w, ]+);/.exec(message)?.groups?.names ?? "";
        expect(message).toBe(`The reward ${JSON.stringify(spec)}: ${reason.replace("NAMES", names)}`);
        expect(names).toMatch(/^$|sentiment, readability, profanity, repetition, length, /);
    });

    it("refuses names that lead back to themselves, are taken, or cannot be written", async () => {
        const circle = {rewards: {a: "b", b: "2*a"}};
        expect(await failure(() => score("a", circle))).toEqual({
            code: "REWARD_SPEC",
            message: 'The reward "2*a": a is defined by itself at character 3, "a"'
        });
        expect(await failure(() => score("length", {rewards: {length: () => 0}}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected names other than those built in for rewards but received "length"'
        });
        expect(await failure(() => score("length", {rewards: {"a-b": () => 0}}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected names of letters, digits and underscores for rewards but received "a-b"'
        });
    });

    it("opens a name once, and leaves what was passed in open", async () => {
        let disposed = 0;
        const mine = {name: "mine", score: async () => ({score: 3, spans: []}), dispose: async () => void disposed++};
        const reward = await openReward("mine - 0.5*mine", {rewards: {mine}});
        expect(await reward.score(prompt, "")).toEqual({score: 1.5, spans: []});
        await reward.dispose();
        expect(disposed).toBe(0);
    });

    it.each([
        ["2*huge", "at most ±1e+30 for its score but received 2e+30. Scale the reward down"],
        ["1e300*huge", "a finite number for its score but received Infinity"]
    ])("fails when the parts are no larger than they may be, but not their sum: %s", async (spec, expected) => {
        const huge = {rewards: {huge: () => 1e30}};
        expect(await score("huge", huge)).toEqual({score: 1e30, spans: []});
        expect(await failure(() => score(spec, huge))).toEqual({
            code: "REWARD_FAILED",
            message: `Expected the reward ${spec} to return ${expected}`
        });
    });
});

describe("modules", () => {
    const write = (name: string, code: string) => writeFileSync(join(folder, name), code);

    it("takes the default export or `reward`, relative to the base directory", async () => {
        write(
            "default.mjs",
            "export default (prompt, response, {reference}) => (prompt + response + reference).length;"
        );
        write("named - 1.cjs", "exports.reward = async () => ({score: 2});");
        const spec = 'module:./default.mjs + 10*module:"named - 1.cjs"';
        const reward = await openReward(spec, {baseDirectory: folder});
        expect(await reward.score({prompt: "ab", reference: "cde"}, "f")).toEqual({score: 26, spans: []});
    });

    it("is relative to the working directory otherwise", async () => {
        const {code, message} = await failure(() => openReward("module:./default.mjs"));
        expect({code, message}).toEqual({
            code: "REWARD_LOAD",
            message: `There is no file ${join(process.cwd(), "default.mjs")}. Paths of rewards start from the working directory.`
        });
    });

    it("says what is wrong with a module", async () => {
        write("none.mjs", "export const score = 1;");
        write("broken.mjs", "throw new Error('no database');");
        write("endless.mjs", "await new Promise(() => {}); export default () => 1;");
        const options = {baseDirectory: folder, moduleTimeoutMs: 1000};
        const open = (file: string) => failure(() => openReward(`module:${file}`, options));
        expect(await open("endless.mjs")).toEqual({
            code: "REWARD_LOAD",
            message: `Could not load the reward module ${join(folder, "endless.mjs")}: its import took more than 1000 ms`
        });
        expect(await open("none.mjs")).toEqual({
            code: "REWARD_LOAD",
            message: `${join(folder, "none.mjs")} exports no reward. Export a function (prompt, response) => number as default.`
        });
        expect(await open("broken.mjs")).toEqual({
            code: "REWARD_LOAD",
            message: `Could not load the reward module ${join(folder, "broken.mjs")}: no database`
        });
    });
});
