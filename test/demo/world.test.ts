import {describe, expect, it} from "vitest";
import {
    composeReply,
    type GuestPrompt,
    heldOutPrompts,
    type Option,
    prefer,
    replySegments,
    score,
    trainingPrompts
} from "../../lib/demo/world.js";

const ferry: GuestPrompt = {
    text: "Anna here. When does the ferry to Skerra leave?",
    topic: "ferry",
    about: "Skerra",
    guest: "Anna"
};
const best =
    "Good day, Anna! The ferry to Skerra leaves at 9:40 from pier 2. Please be there ten minutes early. Enjoy the crossing!";

describe("score of hand-written replies", () => {
    it("gives ten points to a courteous, careful and correct reply", () => {
        expect(score(ferry, best)).toEqual({value: 10, courtesy: 3, care: 2, content: 4, wellFormed: 1});
    });

    it("takes wording that the generator does not use", () => {
        const reply =
            "Good evening. Gladly: you want the boat at 9:40, and it waits at pier 2. Come early! Have a good trip.";
        expect(score(ferry, reply).value).toBe(10);
    });

    it("gives a curt but correct reply its facts only", () => {
        expect(score(ferry, "9:40, pier 2.")).toEqual({value: 5, courtesy: 0, care: 0, content: 4, wellFormed: 1});
    });

    it.each([
        ["no opening", best.replace("Good day, Anna! ", ""), {courtesy: 2, value: 9}],
        ["another guest's name", best.replace("Anna", "Ben"), {courtesy: 2, value: 9}],
        ["no closing", best.replace(" Enjoy the crossing!", ""), {courtesy: 2, value: 9}],
        ["a clipped answer", best.replace(/The ferry.*?2\./, "9:40, pier 2."), {courtesy: 2, value: 9}],
        ["no caution", best.replace(/Please.*?early\. /, ""), {care: 0, value: 8}],
        ["a careless remark", best.replace("Please", "No need to hurry. Please"), {care: 0, value: 8}],
        ["a wrong time", best.replace("9:40", "7:40"), {content: 0}],
        ["a wrong pier", best.replace("pier 2", "pier 22"), {content: 0}],
        ["a sentence said twice", `${best} Enjoy the crossing!`, {wellFormed: 0, value: 9}],
        ["a stutter", best.replace("leaves", "leaves leaves"), {wellFormed: 0, value: 9}],
        ["a reply cut short", best.slice(0, -1), {wellFormed: 0, value: 9}]
    ])("takes points for %s", (_, reply, expected) => {
        expect(score(ferry, reply)).toMatchObject(expected);
    });

    it("gives an empty reply no credit for courtesy, content or form", () => {
        expect(score(ferry, "")).toEqual({value: 0, courtesy: 0, care: 0, content: 0, wellFormed: 0});
    });

    it("asks for a caution only where the request calls for one", () => {
        const mill: GuestPrompt = {text: "How do I walk to the mill?", topic: "walk", about: "mill", guest: null};
        const reply =
            "Certainly. You can walk to the mill in twenty minutes, starting past the bridge. Enjoy the view!";
        expect(score(mill, reply).value).toBe(10);
    });

    it("refuses a request that the world does not have", () => {
        expect(() => score({...ferry, about: "Atlantis"}, best)).toThrow(
            "No such request in the demo's world: ferry, Atlantis"
        );
    });
});

describe("prefer", () => {
    it("names the better reply, or a tie", () => {
        expect(prefer(ferry, best, "9:40, pier 2.")).toBe("a");
        expect(prefer(ferry, "9:40, pier 2.", best)).toBe("b");
        expect(prefer(ferry, best, best)).toBe("tie");
    });
});

describe("the generator", () => {
    const training = trainingPrompts(20_000, 7);
    const heldOut = heldOutPrompts(400);

    it("gives the same prompts and replies for the same seed, and others for another", () => {
        expect(trainingPrompts(50, 7)).toEqual(training.slice(0, 50));
        expect(heldOutPrompts(400)).toEqual(heldOut);
        expect(trainingPrompts(50, 8)).not.toEqual(training.slice(0, 50));
        expect(heldOutPrompts(400, 2)).not.toEqual(heldOut);
        expect(composeReply(ferry, "mixed", 3)).toBe(composeReply(ferry, "mixed", 3));
    });

    it("gives different held-out prompts, on every topic", () => {
        expect(new Set(heldOut.map(({text}) => text)).size).toBe(400);
        expect(new Set(heldOut.map(({topic}) => topic)).size).toBe(13);
    });

    it("never trains on a held-out text, nor on a held-out pair of request and guest", () => {
        const pair = ({topic, about, guest, text}: GuestPrompt) => [topic, about, guest ?? text].join("|");
        const seen = new Set(training.flatMap((prompt) => [prompt.text, pair(prompt)]));
        expect(heldOut.filter((prompt) => seen.has(prompt.text) || seen.has(pair(prompt)))).toEqual([]);
    });

    it("scores its own best and worst replies as such", () => {
        for (const [i, prompt] of heldOut.entries()) {
            const courteous = composeReply(prompt, "courteous", i);
            const curt = composeReply(prompt, "curt", i);
            expect(score(prompt, courteous), courteous).toMatchObject({value: 10});
            expect(score(prompt, curt), curt).toMatchObject({courtesy: 0, content: 4, wellFormed: 1});
            expect(prefer(prompt, courteous, curt)).toBe("a");
        }
    });

    it("adds up: the points of the options are the score of the reply", () => {
        for (const prompt of heldOut.slice(0, 100)) {
            const {opening, answer, note, closing} = replySegments(prompt);
            const product = (left: Option[][], right: Option[]) => left.flatMap((l) => right.map((r) => [...l, r]));
            for (const options of [answer, note, closing].reduce(
                product,
                opening.map((option) => [option])
            )) {
                const reply = options.map(({text}) => text).filter((text) => text !== "");
                const points = options.reduce((sum, option) => sum + option.points, 1);
                expect(score(prompt, reply.join(" ")).value, reply.join(" ")).toBe(points);
            }
        }
    });
});
