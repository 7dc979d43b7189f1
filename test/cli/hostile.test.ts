/** Nothing from outside reaches a terminal as a control: hostile inputs, through every command that shows them. */
import {writeFileSync} from "node:fs";
import {join} from "node:path";
import {beforeAll, describe, expect, it} from "vitest";
import {painter} from "../../lib/cli/format.js";
import {type Piece, render} from "../../lib/cli/trace.js";
import {MaraAgent, MaraError} from "../../lib/index.js";
import {visible, visibleJson} from "../../lib/visible.js";
import {firstWord, tokenizer, writeTinyModel} from "../support/tiny-model.js";
import {mara, type Outcome, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const golden = "test/golden/w64.agent.safetensors";
/** ESC and BEL (a window title), CR (overwrites the line), C1's CSI, DEL, bidi, line separator, NEL. */
const nasty = "\u001b]0;owned\u0007\rok lanes\u009b31m\u007f\u202eevil\u2066\u2028\u0085";
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const control = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
/** Controls for a file name. Line feed and CR are left out, because they would only hinder the test. */
const nastyName = "a\u001b[31m\u009b2J\u202e.safetensors";
const agentPath = join(folder, nastyName);

function expectHarmless({stdout, stderr}: Outcome): void {
    expect(stdout).not.toMatch(control);
    expect(stderr).not.toMatch(control);
}

function write(name: string, content: string | Uint8Array): string {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
}

function safetensors(header: string): Uint8Array {
    const json = Buffer.from(header);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return Buffer.concat([length, json, Buffer.alloc(64)]);
}

beforeAll(async () => {
    const agent = await MaraAgent.load(golden);
    const tensors = agent.tensors();
    agent.dispose();
    const hostile = MaraAgent.fromTensors(tensors, {metadata: {[nasty]: nasty, plain: "x".repeat(5000)}});
    await hostile.save(agentPath);
    hostile.dispose();
});

describe("What comes from a file", () => {
    it("is shown by its codes in mara inspect, and whole in its JSON", async () => {
        const outcome = await mara(["inspect", agentPath]);
        expectHarmless(outcome);
        expect(outcome.stdout).toContain("\\x1b]0;owned\\x07\\x0dok lanes\\x9b31m\\x7f\\u202eevil");
        expect(outcome.stdout).toContain("… (4,700 more characters)");
        expect(outcome.stdout).not.toMatch(/^\s*ok lanes/m);
        const json = await succeed(["inspect", agentPath, "--json"]);
        expect(json).not.toMatch(control);
        expect(JSON.parse(json).metadata).toEqual({[nasty]: nasty, plain: "x".repeat(5000)});
        expect(JSON.parse(json).path).toBe(agentPath);
    });

    const header = (tensors: object) => safetensors(JSON.stringify(tensors));
    it.each<[string, () => string[]]>([
        ["mara inspect, of a file with such a name", () => ["inspect", `${agentPath}.none`]],
        [
            "mara inspect, of such JSON",
            () => {
                const key = JSON.stringify(nasty);
                return ["inspect", write("json.safetensors", safetensors(`{${key}: 1, ${key}: 2}`))];
            }
        ],
        [
            "mara inspect, of such tensors",
            () => {
                const entry = {dtype: nasty, shape: [1], data_offsets: [0, 4]};
                return ["inspect", write("tensors.safetensors", header({[nasty]: entry}))];
            }
        ],
        ["mara convert", () => ["convert", agentPath, join(folder, `out${nastyName}`)]],
        ["mara convert, to a file that exists", () => ["convert", agentPath, agentPath]],
        [
            "mara doctor",
            () => ["doctor", "--gpu", "off", "--agent", agentPath, "--model", join(folder, nastyName, "m")]
        ],
        ["mara doctor --json", () => ["doctor", "--gpu", "off", "--json", "--agent", `${agentPath}.none`]],
        [
            "mara eval, of such prompts",
            () => ["eval", "--prompts", write("p.jsonl", `{"prompt": ${nasty}`), "--reward", "length"]
        ],
        [
            "mara eval, of such a reward",
            () => ["eval", "--prompts", write("q.jsonl", '{"prompt": "x"}'), "--reward", nasty]
        ],
        [
            "mara chat, of such a model",
            () => ["chat", "-p", "x", "-a", agentPath, "-m", write(`m${nastyName}`, "GGUF?")]
        ],
        ["mara train", () => ["train", "--out", join(folder, nastyName, "run"), "--resume"]]
    ])("is harmless in %s", async (_, args) => {
        const outcome = await mara(args());
        expectHarmless(outcome);
        expect(outcome.stdout + outcome.stderr).toMatch(/\\x1b|\\u001b|\ufffd/);
    });

    it("is harmless where the stack is shown", async () => {
        const outcome = await mara(["inspect", `${agentPath}.none`], {env: {MARA_DEBUG: "1"}});
        expect(outcome.stderr).toMatch(/\n {4}at /);
        expectHarmless(outcome);
    });
});

describe("What a model generates", () => {
    it("is harmless in mara chat, as text and as JSON", async () => {
        const {strings} = tokenizer()["tokenizer.ggml.tokens"] as {strings: string[]};
        const spelled = strings.map((text, token) => (token < firstWord ? text : `${text}${nasty}${token}`));
        const model = writeTinyModel({metadata: {"tokenizer.ggml.tokens": {strings: spelled}}});
        const args = [
            "chat",
            "--gpu",
            "off",
            "--threads",
            "1",
            "-m",
            model,
            "-a",
            golden,
            "-p",
            "x",
            "--max-tokens",
            "6"
        ];
        const text = await mara([...args, "--show-decisions"]);
        expect(text.stdout).toContain("\\x1b]0;owned");
        expectHarmless(text);
        const json = await succeed([...args, "--json"]);
        expect(json).not.toMatch(control);
        expect(JSON.parse(json).answer).toContain("\u001b]0;owned\u0007");
    });

    it("is harmless among what was rejected", () => {
        const piece: Piece = {
            text: `ok${nasty}`,
            rank: 1,
            fallback: false,
            rejected: [nasty],
            moreRejected: 0,
            choices: [],
            thought: false
        };
        for (const thought of [false, true])
            expect(render([{...piece, thought}], painter(false), false)).not.toMatch(control);
    });
});

describe("An error's message", () => {
    it("holds no control but line feeds, and is bounded, also when another is put around it", () => {
        const inner = new MaraError("AGENT_FORMAT", `${nasty}\n${"1, ".repeat(400_000)}`);
        expect(inner.message.replaceAll("\n", "")).not.toMatch(control);
        const outer = new MaraError("AGENT_FORMAT", `Could not load it: ${inner.message}`);
        expect(outer.message).toMatch(/… \(1,198,\d{3} more characters\)$/);
        expect(outer.message.length).toBeLessThan(2200);
    });
});

describe("visible", () => {
    it("shows controls by their codes, and leaves everything else", () => {
        expect(visible("a\u001b\n\u0085\u202e\u2028é👩‍🚀\t")).toBe("a\\x1b\\x0a\\x85\\u202e\\u2028é👩‍🚀\\x09");
        expect(visible("a\r\nb\tc\rd", {lines: true})).toBe("a\nb    c\\x0dd");
        expect(visible("x".repeat(200), {max: 10})).toBe(`${"x".repeat(10)}… (190 more characters)`);
    });

    it("gives JSON that says the same", () => {
        expect(visibleJson({[nasty]: [nasty]}, 2)).not.toMatch(control);
        expect(JSON.parse(visibleJson({[nasty]: [nasty]}, 2))).toEqual({[nasty]: [nasty]});
    });
});
