import type {LlamaModel, Token} from "node-llama-cpp";
import {describe, expect, it} from "vitest";
import {bytes, pad, painter, short, sideBySide, table} from "../../lib/cli/format.js";
import {render, Trace} from "../../lib/cli/trace.js";
import type {DecisionEvent} from "../../lib/index.js";

const plain = painter(false);
const colored = painter(true);

describe("formats", () => {
    it("sizes and numbers", () => {
        expect([0, 999, 1000, 51_224, 18_000_000, 2.5e12].map(bytes)).toEqual([
            "0 bytes",
            "999 bytes",
            "1.00 kB",
            "51.22 kB",
            "18.00 MB",
            "2500.00 GB"
        ]);
        expect([0, 1.23456, -0.00001234, 123_456].map(short)).toEqual(["0", "1.235", "-1.23e-5", "1.23e+5"]);
    });

    it("columns that count what is seen, not what is stored", () => {
        const lines = sideBySide("日本語のテキスト", colored("red", "one two three"), 21, colored);
        expect(lines).toEqual([
            `日本語の  \x1b[2m│\x1b[22m \x1b[31mone two\x1b[39m`,
            `テキスト  \x1b[2m│\x1b[22m \x1b[31mthree\x1b[39m`
        ]);
        expect(pad(colored("red", "ab"), 4, "right")).toBe(`  ${colored("red", "ab")}`);
    });

    it("tables", () => {
        expect(table(["", "raw"], [["tokens", "12"]], ["left", "right"], plain)).toEqual([
            "           raw",
            "  tokens    12"
        ]);
    });
});

describe("an answer's trace", () => {
    const words = [" yes", " no", " maybe", "se", "ses", "<eog>", "\n"];
    const model = {
        isEogToken: (token: Token) => words[token] === "<eog>",
        detokenize: (tokens: Token[]) => tokens.map((token) => words[token]).join("")
    } as unknown as LlamaModel;
    const candidate = (token: number, acceptProbability: number | null) => ({
        token: token as Token,
        probability: 0.5,
        logProbability: {before: null, after: Math.log(0.5)},
        acceptProbability,
        by: acceptProbability === null ? null : ("agent" as const),
        opinions: [acceptProbability === null ? null : {acceptProbability, by: "agent" as const}]
    });
    const event = (candidates: DecisionEvent["candidates"], chosenRank: number, fallback = false): DecisionEvent => ({
        sequence: {} as never,
        position: 0,
        candidates,
        threshold: 0.5,
        chosenRank,
        fallback,
        waves: 1,
        by: "agent"
    });
    const chunk = (...tokens: number[]) => ({
        type: undefined,
        segmentType: undefined,
        tokens: tokens as Token[],
        text: tokens.map((token) => words[token]).join("")
    });

    it("strikes out what was rejected, and marks by rank what was taken", () => {
        const trace = new Trace(model);
        trace.decided(event([candidate(0, 0.9), candidate(1, 0.1)], 0), 0);
        trace.decided(event([candidate(0, 0.2), candidate(1, 0.7), candidate(2, 0.1)], 1), 2);
        trace.received(chunk(0, 2, 1));
        expect(render(trace.finish(), plain, false)).toBe(" yes maybe [-yes-] {+no+}");
        expect(render(trace.finish(), colored, true)).toBe(
            ` yes maybe ${colored(["dim", "strikethrough"], "yes")} ${colored("green", "no")}`
        );
    });

    it("keeps rejected parts of words apart, and counts those it leaves out", () => {
        const trace = new Trace(model);
        const rejected = [3, 4, 3, 4, 3].map((token) => candidate(token, 0.1));
        trace.decided(event(rejected, 1, true), 0);
        trace.received(chunk(4));
        expect(render(trace.finish(), plain, false)).toBe("[-se-][-se-][-ses-][-+1-]{!ses!}");
    });

    it("shows what was decided about the end", () => {
        const trace = new Trace(model);
        trace.received(chunk(0));
        trace.decided(event([candidate(6, 0.1), candidate(5, 0.8)], 1), 1);
        expect(render(trace.finish(), plain, false)).toBe(" yes[-⏎-]");
    });

    it("catches up after tokens that were never streamed", () => {
        const trace = new Trace(model);
        trace.decided(event([candidate(2, 0.9), candidate(3, null)], 0), 0);
        trace.decided(event([candidate(0, 0.1), candidate(1, 0.9)], 1), 1);
        trace.received(chunk(1));
        expect(render(trace.finish(), plain, false)).toBe(" [-yes-] {+no+}");
    });

    it("keeps the text whole where single tokens have none", () => {
        const trace = new Trace(model);
        trace.decided(event([candidate(0, 0.1), candidate(3, 0.9)], 1), 0);
        trace.received({...chunk(3, 4), text: "é"});
        expect(render(trace.finish(), plain, false)).toBe(" [-yes-]{+é+}");
    });
});
