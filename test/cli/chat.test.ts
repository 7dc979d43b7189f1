import {describe, expect, it} from "vitest";
import {expectFailure, hasDemo, mara, needsDemo, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const chat = ["chat", "--threads", "1", "--gpu", "off"];
const question = "Where is the breakfast room?";

describe.skipIf(!hasDemo)(`mara chat with the demo's pair${needsDemo}`, () => {
    it("answers a prompt, and the same way again", async () => {
        const answer = await succeed([...chat, "--prompt", question]);
        expect(answer).toMatch(/\w+.*\n$/);
        expect(answer.split("\n")).toHaveLength(2);
        expect(await succeed([...chat, "--prompt", question])).toBe(answer);
    });

    it("gives programs one object", async () => {
        const output = await succeed([...chat, "-p", question, "--json", "--compare", "--show-decisions"]);
        const result = JSON.parse(output);
        expect(output.trimEnd()).not.toContain("\n");
        expect(result).toMatchObject({prompt: question, aborted: false, mode: "lanes"});
        expect(result.answer).not.toBe(result.raw);
        expect(result.decisions).toHaveLength(result.stats.decisions);
        for (const {candidates, chosenRank} of result.decisions) {
            expect(candidates.map(({rank}: {rank: number}) => rank)).toContain(chosenRank);
        }
    });

    it("accepts everything at threshold 0, so that both sides agree", async () => {
        const output = await succeed([...chat, "-p", question, "--json", "--compare", "--threshold", "0"]);
        const {answer, raw, stats} = JSON.parse(output);
        expect(answer).toBe(raw);
        expect(stats.fallbacks).toBe(0);
    });

    it("shows both sides one after the other where there is no wide terminal, with marks where there is no colour", async () => {
        const text = await succeed([...chat, "-p", question, "--compare", "--show-decisions"]);
        expect(text).toMatch(/^raw\n.+\n\naligned\n.+\n\d+ tokens, \d+ decisions?, \d+ changed.*\n$/);
        expect(text).toMatch(/\[-.+-\] ?\{\+.+\+\}/);
    });

    it("colours when forced to, and not with NO_COLOR", async () => {
        const args = [...chat, "-p", question, "--show-decisions"];
        expect(await succeed(args, {env: {FORCE_COLOR: "1"}})).toContain("\x1b[9m");
        expect(await succeed(args, {env: {NO_COLOR: "1"}})).not.toContain("\x1b");
    });

    it("asks several agents, by their weights", async () => {
        const ask = async (...args: string[]) =>
            JSON.parse(await succeed([...chat, "-p", question, "--json", "--show-decisions", ...args]));
        const alone = await ask("--cascade", "off");
        const twice = ["-a", "demo", "-a", "demo", "--cascade", "off"];
        expect((await ask(...twice, "--weight", "2", "--weight", "0.5")).answer).toBe(alone.answer);
        expect((await ask(...twice, "--combine", "all")).answer).toBe(alone.answer);
        expectFailure(await mara([...chat, "-p", question, ...twice, "--weight", "2"]), /one for each of 2 agents/);
    });

    it("reads one conversation from a pipe, a question a line", async () => {
        const input = `${question}\n\nThank you.\n`;
        const lines = (await succeed([...chat, "--json"], {input})).trimEnd().split("\n");
        expect(lines.map((line) => JSON.parse(line).prompt)).toEqual([question, "Thank you."]);
        const text = await succeed(chat, {input: `${question}\n`});
        expect(text).toBe(await succeed([...chat, "--prompt", question]));
    });

    it("runs in serial mode, with other strategies and orders", async () => {
        const args = ["--mode", "serial", "--strategy", "random", "--seed", "3", "--order", "top-last", "--top-k", "8"];
        const result = JSON.parse(await succeed([...chat, "-p", question, "--json", ...args]));
        expect(result.mode).toBe("serial");
        expect(result.stats.candidateCounts.length).toBeLessThanOrEqual(9);
    });

    it("answers with a guide, and another answer than without", async () => {
        const guide = "guidance:scale=4,negativePrompt=When is breakfast, and where?";
        const args = [...chat, "-p", question, "--max-tokens", "24"];
        const guided = await succeed([...args, "--guide", guide]);
        expect(guided).toMatch(/\w+.*\n$/);
        expect(guided).not.toBe(await succeed(args));
        expect(await succeed([...args, "--guide", "guidance:scale=1,negativePrompt=x"])).toBe(await succeed(args));
    });

    it("keeps to --max-tokens", async () => {
        const result = JSON.parse(await succeed([...chat, "-p", question, "--json", "--max-tokens", "3"]));
        expect(result.stats.generatedTokens).toBeLessThanOrEqual(3);
    });

    it("refuses an agent of another width", async () => {
        expectFailure(
            await mara([...chat, "--agent", "test/golden/w64.agent.safetensors", "-p", question]),
            /^The agent reads states of width 64, but the model's embedding size is \d+\. .*\(AGENT_WIDTH\)$/
        );
    });

    it("refuses a missing agent", async () => {
        expectFailure(await mara([...chat, "--agent", "nowhere.safetensors", "-p", "x"]), /\(AGENT_NOT_FOUND\)$/);
    });
});

describe("mara chat without a model that works", () => {
    const agent = ["--agent", "test/golden/w64.agent.safetensors"];

    it.each(["nowhere.gguf", folder])("refuses %s", async (model) => {
        const outcome = await mara([...chat, "--model", model, ...agent, "--prompt", "x"]);
        expectFailure(outcome, /^There is no model file .*\. Give a \.gguf file or an hf: URI\. \(MODEL_NOT_FOUND\)$/);
    });

    it("refuses a file that is no model", async () => {
        const outcome = await mara([...chat, "--model", "package.json", ...agent, "--prompt", "x"]);
        expectFailure(outcome, /^Could not load the model .*package\.json: /);
    });

    it("does not fetch from arbitrary addresses", async () => {
        const outcome = await mara([...chat, "--model", "https://example.com/m.gguf", ...agent, "-p", "x"]);
        expectFailure(outcome, /^Expected a file or an hf: URI for --model but received /);
    });

    it("asks for an agent along with a model", async () => {
        const outcome = await mara([...chat, "--model", "nowhere.gguf", "--prompt", "x"]);
        expectFailure(outcome, /^--model needs --agent: .* \(INVALID_ARGUMENT\)$/);
    });
});
