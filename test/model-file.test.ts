import {mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {afterAll, describe, expect, test} from "vitest";
import {trainAgent} from "../lib/index.js";
import {testLlama} from "./support/models.js";

const folder = mkdtempSync(join(tmpdir(), "mara-model-"));
afterAll(() => rmSync(folder, {recursive: true}));

const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
};
const u64 = (value: number | bigint): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
};
const text = (value: string): Buffer => Buffer.concat([u64(value.length), Buffer.from(value)]);

/** A GGUF file of version 3 with these counts, and what comes behind them. */
function gguf(tensors: number | bigint, entries: number | bigint, ...parts: Buffer[]): Buffer {
    return Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors), u64(entries), ...parts]);
}

const [list, string, uint8] = [9, 8, 0];
const noise = Buffer.from(Array.from({length: 2000}, (_, i) => (i * 7919 + 13) % 251));
const entry = (type: number, ...value: Buffer[]): Buffer => Buffer.concat([text("a"), u32(type), ...value]);

/** What node-llama-cpp's own reader does with the file is said where it does not refuse it within a second. */
const files: [what: string, bytes: Buffer, reason: string | RegExp][] = [
    ["nothing", Buffer.alloc(0), "its header reaches beyond its end"],
    ["text", Buffer.from("hello, hello, hello"), "it is no GGUF file"],
    ["a header cut short", gguf(0, 1).subarray(0, 20), "its header reaches beyond its end"],
    ["a header and noise (reads for ever)", gguf(20, 30, noise), "its header reaches beyond its end"],
    [
        "more entries than it has room for, then zeros (reads for ever)",
        gguf(0, 2n ** 60n, Buffer.alloc(2000)),
        /^it declares more metadata entries \(\d+\) than it has room for$/
    ],
    [
        "more tensors than it has room for, then zeros (reads for ever)",
        gguf(100, 0, Buffer.alloc(2000)),
        "it declares more tensors (100) than it has room for"
    ],
    [
        "a list of 2^33 bytes (reads for ever)",
        gguf(0, 1, entry(list, u32(uint8), u64(2n ** 33n)), noise),
        "it declares more items of a list (8589934592) than it has room for"
    ],
    [
        "a list of 1000 texts in 2000 bytes",
        gguf(0, 1, entry(list, u32(string), u64(1000)), noise),
        "it declares more items of a list (1000) than it has room for"
    ],
    ["a name of 2 GiB (ends the process)", gguf(0, 1, u64(2 ** 31), noise), "its header reaches beyond its end"],
    [
        "a text of 2 GiB (ends the process)",
        gguf(0, 1, entry(string, u64(2 ** 31)), noise),
        "its header reaches beyond its end"
    ],
    ["lists of lists", gguf(0, 1, entry(list, u32(list), u64(1)), noise), "a metadata entry is of the unknown type 9"],
    ["a type that there is not", gguf(0, 1, entry(77), noise), "a metadata entry is of the unknown type 77"],
    [
        "a tensor of 2^32 − 1 axes (reads for ever)",
        gguf(1, 0, text("w"), u32(2 ** 32 - 1), noise),
        "a tensor has 4294967295 axes"
    ],
    [
        "a tensor whose numbers are missing",
        gguf(1, 0, text("a tensor"), u32(2), u64(1)),
        "its header reaches beyond its end"
    ]
];

describe("a model file is refused before node-llama-cpp reads it", () => {
    test.each(files)("%s", async (what, bytes, reason) => {
        const modelPath = join(folder, "model.gguf");
        writeFileSync(modelPath, bytes);
        const llama = await testLlama();
        const run = trainAgent({
            llama,
            modelPath,
            prompts: [{prompt: what}],
            reward: "length",
            runDirectory: join(folder, "run")
        });
        const found = await run.then(
            () => undefined,
            ({code, message}: {code: string; message: string}) => ({code, message})
        );
        const prefix = `Could not load the model ${modelPath}: `;
        expect(found).toEqual({code: "MODEL_UNSUPPORTED", message: expect.stringContaining(prefix)});
        expect(found?.message.slice(prefix.length)).toEqual(
            typeof reason === "string" ? reason : expect.stringMatching(reason)
        );
    });
});
