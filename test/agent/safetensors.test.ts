import {describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {failure, safetensorsFile} from "./helpers.js";

const load = (bytes: Uint8Array): Promise<MaraAgent> => MaraAgent.load(bytes);
const safetensors = (reason: string) => ({
    code: "AGENT_FORMAT",
    message: `Could not load the agent's bytes: This is not a valid .safetensors file: ${reason}`
});

describe("a .safetensors header", () => {
    const entry = (dtype: unknown, shape: unknown, offsets: unknown) => ({dtype, shape, data_offsets: offsets});
    const cases: [string, unknown, number, string][] = [
        ["that is not JSON", "{x", 0, "its header is not JSON"],
        ["that is not UTF-8", '{"\ud800":1', 0, "its header is not JSON"],
        ["that is nested without end", `{"a":${"[".repeat(500_000)}`, 0, "its header is not JSON"],
        ["with text after it", "{}{", 0, "its header is not JSON"],
        ["with a duplicate name", '{"a":1,"a":2}', 0, 'its header names "a" twice'],
        ["with a duplicate name in disguise", '{"a":{"b":[{},"x"]},"\\u0061" : 2}', 0, 'its header names "a" twice'],
        [
            "with a long duplicate name",
            `{"${"a".repeat(400_000)}":1,"${"a".repeat(400_000)}":2}`,
            0,
            `its header names "${"a".repeat(80)}…" twice`
        ],
        [
            "with half a character",
            '{"__metadata__":{"a":"\\ud800"}}',
            0,
            'its header holds half a character in "\ufffd"'
        ],
        [
            "with a whole number that is written as a fraction",
            '{"a":{"shape":[2.0]}}',
            0,
            'its header writes a number as "2.0"'
        ],
        ["with an exponent", '{"a":{"shape":[2e0]}}', 0, 'its header writes a number as "2e0"'],
        ["with a number beyond all bounds", '{"a":{"x":1e999}}', 0, 'its header writes a number as "1e999"'],
        ["with a negative zero", '{"a":{"shape":[-0]}}', 0, 'its header writes a number as "-0"'],
        [
            "that nests deeper than the reference reads",
            `{"a":${"[".repeat(127)}${"]".repeat(127)}}`,
            0,
            "its header nests more than 127 values"
        ],
        ["with an entry that is no object", {a: 1}, 0, 'the entry of "a" lacks a proper dtype, shape or data_offsets'],
        ["with a null entry", {a: null}, 0, 'the entry of "a" lacks a proper dtype, shape or data_offsets'],
        [
            "without a dtype",
            {a: entry(undefined, [1], [0, 4])},
            4,
            'the entry of "a" lacks a proper dtype, shape or data_offsets'
        ],
        [
            "with a fractional size",
            {a: entry("F32", [0.5], [0, 2])},
            2,
            'the entry of "a" lacks a proper dtype, shape or data_offsets'
        ],
        [
            "with a negative size",
            {a: entry("F32", [-1], [0, 4])},
            4,
            'the entry of "a" lacks a proper dtype, shape or data_offsets'
        ],
        [
            "with three offsets",
            {a: entry("F32", [1], [0, 4, 8])},
            4,
            'the entry of "a" lacks a proper dtype, shape or data_offsets'
        ],
        [
            "with a negative offset",
            {a: entry("F32", [1], [-4, 0])},
            4,
            'the entry of "a" lacks a proper dtype, shape or data_offsets'
        ],
        ["with an unknown dtype", {a: entry("F31", [1], [0, 4])}, 4, '"a" has the unknown dtype "F31"'],
        [
            "with a dtype of Object's",
            {a: entry("constructor", [1], [0, 4])},
            4,
            '"a" has the unknown dtype "constructor"'
        ],
        [
            "whose shape takes more than its bytes",
            {a: entry("F32", [2], [0, 4])},
            4,
            '"a" has 4 bytes, which is not what F32 [2] takes'
        ],
        [
            "whose shape overflows",
            {a: entry("F32", [2 ** 40, 2 ** 40], [0, 4])},
            4,
            '"a" has 4 bytes, which is not what F32 [1099511627776,1099511627776] takes'
        ],
        [
            "with swapped offsets",
            {a: entry("F32", [1], [4, 0])},
            4,
            '"a" has -4 bytes, which is not what F32 [1] takes'
        ],
        [
            "with overlapping tensors",
            {a: entry("F32", [2], [0, 8]), b: entry("F32", [1], [4, 8])},
            8,
            'the bytes of "b" overlap those of another tensor'
        ],
        [
            "with the same bytes twice",
            {a: entry("F32", [1], [0, 4]), b: entry("F32", [1], [0, 4])},
            4,
            'the bytes of "b" overlap those of another tensor'
        ],
        ["with a hole", {a: entry("F32", [1], [4, 8])}, 8, '4 bytes before "a" belong to no tensor'],
        ["with bytes left over", {a: entry("F32", [1], [0, 4])}, 6, "2 bytes at its end belong to no tensor"],
        [
            "that reaches beyond the file",
            {a: entry("F32", [2], [0, 8])},
            4,
            '"a" ends at byte 8 of 4; the file is cut short'
        ],
        [
            "with metadata that is no text",
            {__metadata__: {a: 1}},
            0,
            "its __metadata__ is not a map from strings to strings"
        ],
        ["with metadata that is a list", {__metadata__: []}, 0, "its __metadata__ is not a map from strings to strings"]
    ];
    for (const [name, header, bytes, reason] of cases) {
        test(name, async () => {
            const file =
                name === "that is not UTF-8"
                    ? Buffer.concat([safetensorsFile("{", new Uint8Array(), 2n), Uint8Array.of(0xff)])
                    : safetensorsFile(header, new Uint8Array(bytes));
            expect(await failure(() => load(file))).toEqual(safetensors(reason));
        });
    }

    test("names tensors that no agent has", async () => {
        expect(await failure(() => load(safetensorsFile("{}")))).toEqual({
            code: "AGENT_TENSORS",
            message:
                "Could not load the agent's bytes: These are not the tensors of a MARA agent; " +
                'missing: "ln.weight", "ln.bias", "linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias", ' +
                '"output_linear.weight", "output_linear.bias"'
        });
        expect((await failure(() => load(safetensorsFile('{"__proto__":{"dtype":"F32"}}')))).code).toBe("AGENT_FORMAT");
    });
});
