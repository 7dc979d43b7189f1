import {describe, expect, it} from "vitest";
import {distinct, repetition, wordsOf} from "../../lib/evaluate/text-metrics.js";

describe("words", () => {
    it("are runs of letters and digits, whatever the script and the case", () => {
        expect(wordsOf("Don't PANIC: l’été, 3½ кофе—42!")).toEqual(["don't", "panic", "l’été", "3½", "кофе", "42"]);
        expect(wordsOf("… 🙂 !")).toEqual([]);
    });
});

describe("distinct-n", () => {
    it("counts different n-grams over n-grams, in all texts", () => {
        const texts = ["a b a b", "b a", ""].map(wordsOf);
        expect(distinct(texts, 1)).toBe(2 / 6);
        // ab ba ab | ba
        expect(distinct(texts, 2)).toBe(2 / 4);
        expect(distinct(texts, 5)).toBeNull();
    });
});

describe("repetition", () => {
    it("is the share of 4-grams seen before in the text", () => {
        // abcd bcda cdab dabc abcd
        expect(repetition(wordsOf("a b c d a b c d"))).toBeCloseTo(1 / 5, 12);
        expect(repetition(wordsOf("a a a a a a"))).toBeCloseTo(2 / 3, 12);
        expect(repetition(wordsOf("a b c d e"))).toBe(0);
        expect(repetition(wordsOf("a b c"))).toBeNull();
    });
});
