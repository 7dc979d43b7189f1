import {execFileSync} from "node:child_process";
import {mkdtempSync, rmSync, truncateSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {afterAll, describe, expect, it} from "vitest";
import {loadPairs, loadPrompts} from "../../lib/index.js";
import {failure} from "../support/failure.js";

const folder = mkdtempSync(join(tmpdir(), "mara-prompts-"));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

let files = 0;
function file(content: string | Uint8Array): string {
    const path = join(folder, `${++files}.jsonl`);
    writeFileSync(path, content);
    return path;
}

describe("loadPrompts", () => {
    it("reads JSON lines with BOM, CRLF and blank lines, and leaves other keys out", async () => {
        const lines = [
            '{"prompt": "Hello?", "id": 7}',
            "",
            '{"prompt": "Wie geht’s?", "system": "Be kind.", "reference": "Gut"}',
            '{"prompt": "Write SQL.", "leaveAlone": true}',
            '{"prompt": "Hi", "leaveAlone": false}',
            "  "
        ];
        expect(await loadPrompts(file(`\ufeff${lines.join("\r\n")}`))).toEqual([
            {prompt: "Hello?"},
            {prompt: "Wie geht’s?", system: "Be kind.", reference: "Gut"},
            {prompt: "Write SQL.", leaveAlone: true},
            {prompt: "Hi"}
        ]);
    });

    it("keeps a line separator inside a text", async () => {
        expect(await loadPrompts(file('{"prompt": "one\u2028two"}'))).toEqual([{prompt: "one\u2028two"}]);
    });

    it("reads a JSON array with prompt, or instruction and input", async () => {
        const records = [
            {instruction: "Translate.", input: "Haus", output: "house"},
            {instruction: "Sing.", input: "", system: null},
            {prompt: "Hi", instruction: "not this"}
        ];
        expect(await loadPrompts(file(`\n ${JSON.stringify(records, null, 2)}`))).toEqual([
            {prompt: "Translate.\n\nHaus"},
            {prompt: "Sing."},
            {prompt: "Hi"}
        ]);
    });

    it.each([
        ["{prompt: 1}", 'expected a JSON object but received "{prompt: 1}"'],
        ['"text"', 'expected an object but received "text"'],
        ["null", "expected an object but received null"],
        ['{"text": "a"}', 'it has neither "prompt" nor "instruction"'],
        ['{"prompt": 5}', 'expected a text that is not empty for "prompt" but received 5'],
        ['{"prompt": " "}', 'expected a text that is not empty for "prompt" but received " "'],
        ['{"instruction": null}', 'expected a text that is not empty for "instruction" but received null'],
        ['{"prompt": "a", "system": ["b"]}', 'expected a text for "system" but received ["b"]'],
        ['{"prompt": "a", "leaveAlone": "yes"}', 'expected true or false for "leaveAlone" but received "yes"'],
        ['{"prompt": "a", "reference": {"b": 1}}', 'expected a text for "reference" but received {"b":1}']
    ])("names the line of %s", async (line, reason) => {
        const path = file(`{"prompt": "fine"}\n\n${line}\n{"prompt": "fine"}`);
        expect(await failure(() => loadPrompts(path))).toEqual({
            code: "PROMPTS_FORMAT",
            message: `${path}, line 3: ${reason}`
        });
    });

    it("names the item of an array", async () => {
        const path = file('[{"prompt": "a"}, 2]');
        const message = `${path}, item 2: expected an object but received 2`;
        expect(await failure(() => loadPrompts(path))).toEqual({code: "PROMPTS_FORMAT", message});
    });

    it.each([
        ["", /: it holds no records$/],
        ["\ufeff\r\n \n", /: it holds no records$/],
        ["[]", /: it holds no records$/],
        ['[{"prompt": "a"}', /: it begins like a JSON array and is none: /],
        [Uint8Array.of(0x22, 0xff, 0x22), /: it is not UTF-8 text$/]
    ])("refuses %j", async (content, message) => {
        const refusal = await failure(() => loadPrompts(file(content)));
        expect(refusal).toEqual({code: "PROMPTS_FORMAT", message: expect.stringMatching(message)});
    });

    it("keeps lines apart where chunks of the file end", async () => {
        const texts = Array.from({length: 3000}, (_, i) => "é".repeat(i % 97));
        for (const end of ["\r\n", "\n", "\r"]) {
            const path = file(texts.map((text) => JSON.stringify({prompt: `p${text}`})).join(end));
            expect(await loadPrompts(path)).toEqual(texts.map((text) => ({prompt: `p${text}`})));
            const flawed = file(`${texts.map((text) => JSON.stringify({prompt: `p${text}`})).join(end)}${end}7`);
            expect((await failure(() => loadPrompts(flawed))).message).toMatch(/, line 3001: /);
        }
    });

    const deep = (depth: number) => `{"prompt": "a[[[\\"[", "id": ${"[".repeat(depth)}${"]".repeat(depth)}}`;
    const long = (bytes: number) => `{"prompt": "${"a".repeat(bytes - 14)}"}`;

    it("reads what is within the limits", async () => {
        const path = file([long(2 ** 20), deep(63)].join("\n"));
        expect((await loadPrompts(path)).map(({prompt}) => prompt.length)).toEqual([2 ** 20 - 14, 6]);
        expect((await loadPrompts(file(`[${long(2 ** 21)}]`))).length).toBe(1);
    });

    it.each([
        [deep(64), "expected values nested at most 64 deep but received deeper ones"],
        [`{"prompt": ${"[".repeat(2e5)}`, "expected values nested at most 64 deep but received deeper ones"],
        [long(2 ** 20 + 1), "expected a line of at most 1048576 bytes but received a longer one"]
    ])("refuses what is beyond them (%#)", async (line, reason) => {
        const path = file(`{"prompt": "a"}\n${line}\n{"prompt": "b"}`);
        const message = `${path}, line 2: ${reason}`;
        expect(await failure(() => loadPrompts(path))).toEqual({code: "PROMPTS_FORMAT", message});
    });

    it("refuses an array or a file that is too large before it has read it", async () => {
        const sparse = (begin: string) => {
            const path = file(begin);
            truncateSync(path, 2 ** 32);
            return path;
        };
        const before = process.memoryUsage().rss;
        expect((await failure(() => loadPrompts(sparse("[")))).message).toMatch(/an array of at most 67108864 bytes/);
        expect((await failure(() => loadPrompts(sparse("\n")))).message).toMatch(/, line 2: .* at most 1048576 bytes/);
        expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28);
    });

    it.skipIf(process.platform === "win32")("refuses a named pipe, a device and a folder at once", async () => {
        const pipe = join(folder, "pipe");
        execFileSync("mkfifo", [pipe]);
        for (const path of [pipe, "/dev/zero", folder]) {
            const message = `Could not read ${path}: it is not a regular file`;
            expect(await failure(() => loadPrompts(path))).toEqual({code: "PROMPTS_NOT_FOUND", message});
        }
    });

    it("names a file that is not there", async () => {
        const path = join(folder, "missing.jsonl");
        const message = `Could not read ${path}: ENOENT: no such file or directory`;
        expect(await failure(() => loadPrompts(path))).toEqual({code: "PROMPTS_NOT_FOUND", message});
    });
});

describe("loadPairs", () => {
    it("reads pairs", async () => {
        const path = file('{"prompt": "a", "chosen": "b", "rejected": "c", "reference": "d"}\n');
        expect(await loadPairs(path)).toEqual([{prompt: "a", chosen: "b", rejected: "c"}]);
    });

    it.each([
        ['{"prompt": "a", "chosen": "b"}', 'expected a text that is not empty for "rejected" but received nothing'],
        ['{"prompt": "a", "chosen": "b", "rejected": "b"}', '"chosen" and "rejected" are both "b"']
    ])("refuses %s", async (line, reason) => {
        const path = file(line);
        const message = `${path}, line 1: ${reason}`;
        expect(await failure(() => loadPairs(path))).toEqual({code: "PROMPTS_FORMAT", message});
    });
});
