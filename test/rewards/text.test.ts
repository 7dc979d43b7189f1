import {describe, expect, it} from "vitest";
import {openReward} from "../../lib/index.js";
import {failure} from "../support/failure.js";

async function score(spec: string, response: string) {
    const reward = await openReward(spec);
    return await reward.score({prompt: "Tell me."}, response);
}

describe("sentiment", () => {
    // The examples of VADER's own README, with its figures.
    it.each([
        ["VADER is smart, handsome, and funny.", 0.8316],
        ["VADER is VERY SMART, handsome, and FUNNY!!!", 0.9342],
        ["The book was only kind of good.", 0.3832],
        ["At least it isn't a horrible book.", 0.431],
        ["", 0]
    ])("gives the compound of %j", async (text, compound) => {
        expect((await score("sentiment", text)).score).toBe(compound);
    });

    it("credits each word with what it changes", async () => {
        const text = "The room was horrible,\n but the breakfast was wonderful! ";
        const {score: value, spans} = await score("sentiment", text);
        expect(spans.map(({start, end}) => text.slice(start, end))).toEqual(["horrible,", "but", "wonderful!"]);
        expect(spans.map(({score}) => Math.sign(score))).toEqual([-1, 1, 1]);
        // VADER's figure for "The room was horrible,".
        expect(spans[0]?.score).toBe(-0.5423);
        expect(spans.reduce((sum, {score}) => sum + score, 0)).toBeCloseTo(value, 12);
        expect((await score("sentiment", "good ".repeat(401))).spans).toEqual([]);
    });
});

describe("readability", () => {
    // (206.835 - 1.015 words/sentences - 84.6 syllables/words) / 100, counted by hand.
    it.each([
        ["The cat sat on the mat.", (206.835 - 1.015 * 6 - 84.6) / 100],
        ["The cat sat. The dog ran off!", (206.835 - 1.015 * 3.5 - 84.6) / 100],
        ["Banana table. 42 ... -", (206.835 - 1.015 * 1.5 - (84.6 * 6) / 3) / 100],
        ["Incomprehensibilities notwithstanding.", -1],
        ["", -1],
        ["?!", -1]
    ])("scores %j", async (text, expected) => {
        expect((await score("readability", text)).score).toBeCloseTo(expected, 12);
    });

    it("credits each word with its syllables", async () => {
        const text = "Banana table. 42 ... -";
        const {spans} = await score("readability", text);
        expect(spans.map(({start, end, score}) => [text.slice(start, end), score.toFixed(3)])).toEqual([
            ["Banana", "-0.846"],
            ["table", "-0.564"],
            ["42", "-0.282"]
        ]);
    });
});

describe("profanity", () => {
    it("counts each word once, with its place", async () => {
        const text = "😀 what the fuck is this sh1t";
        const {score: value, spans} = await score("profanity", text);
        expect(value).toBe(-2);
        expect(spans.map(({start, end, score}) => [text.slice(start, end), score])).toEqual([
            ["fuck", -1],
            ["sh1t", -1]
        ]);
    });

    it("leaves clean text alone", async () => {
        expect(await score("profanity", "Assess the class of Scunthorpe.")).toEqual({score: 0, spans: []});
    });
});

describe("repetition", () => {
    it("takes off the words that end a 4-gram which stood there before", async () => {
        const text = "We thank you, dear guest. We THANK you, dear guest, and we thank you.";
        const {score: value, spans} = await score("repetition", text);
        // 14 words, 11 4-grams, 2 of which stand there for the second time.
        expect(spans.map(({start, end}) => text.slice(start, end))).toEqual(["dear", "guest"]);
        expect(spans.every(({score}) => score === -1 / 11)).toBe(true);
        expect(value).toBeCloseTo(-2 / 11, 12);
    });

    it.each(["", "Yes, yes, yes.", "A text whose words stand there once."])("leaves %j alone", async (text) => {
        expect(await score("repetition", text)).toEqual({score: 0, spans: []});
    });
});

describe("length", () => {
    const text = "Don't stop, 中文! It rained. 👨‍👩‍👧";
    it.each([
        ["length", 5],
        ["length:words", 5],
        ["length:sentences", 2],
        ["length:10", 0.5],
        ["length:2 words", 0.4],
        ["length:4 sentences", 0.5],
        ["length:characters", 28]
    ])("%s", async (spec, expected) => {
        expect(await score(spec, text)).toEqual({score: expected, spans: []});
    });

    it("is 0 for an empty response with a target", async () => {
        expect((await score("length:7", "")).score).toBe(0);
    });

    it.each(["length:0", "length:x", "length:-3", "length:12 tokens"])("refuses %s", async (spec) => {
        expect(await failure(() => openReward(spec))).toEqual({
            code: "REWARD_SPEC",
            message: `The reward "${spec}": expected a length such as 120, 120 words, 400 characters or 3 sentences at character 1, "${spec}"`
        });
    });
});

describe("regex", () => {
    it("counts matches and points at them", async () => {
        expect(await score("regex:/please|thank(s| you)/i", "Please wait. Thank you, thanks!")).toEqual({
            score: 3,
            spans: [
                {start: 0, end: 6, score: 1},
                {start: 13, end: 22, score: 1},
                {start: 24, end: 30, score: 1}
            ]
        });
    });

    it("takes slashes, spaces and signs inside the pattern, and honours flags", async () => {
        expect((await score("2*regex:/[/] \\/ - (x)/s - regex:/X/", "/ / - x X")).score).toBe(1);
        expect((await score("regex:/^a/gm", "a\nb\na")).score).toBe(2);
    });

    it("gives up a pattern that takes for ever", {timeout: 20_000}, async () => {
        const scoring = score("regex:/(a+)+$/", `${"a".repeat(60)}!`);
        await expect(scoring).rejects.toThrow("the pattern took more than 1000 ms");
    });

    it.each([
        ["regex:abc", 'expected a pattern such as /word/i at character 7, "abc"'],
        ["regex:/a", 'expected a pattern such as /word/i at character 7, "/a"'],
        ["regex:/(/", 'Invalid regular expression: /(/g: Unterminated group at character 1, "regex:/(/"']
    ])("refuses %s", async (spec, reason) => {
        const message = `The reward "${spec}": ${reason}`;
        expect(await failure(() => openReward(spec))).toEqual({code: "REWARD_SPEC", message});
    });
});
