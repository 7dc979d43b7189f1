import {copyFileSync, existsSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {describe, expect, it} from "vitest";
import type {Report} from "../../lib/cli/doctor-checks.js";
import {advisedThreads} from "../../lib/cli/thread-choice.js";
import {demoModelPath} from "../../lib/demo/files.js";
import {mara, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const model = join(folder, "own.gguf");
copyFileSync(demoModelPath, model);
const cache = join(folder, "cache", "node-llama-mara", "threads.json");
const env = {XDG_CACHE_HOME: join(folder, "cache")};
const speed = (threads: number, tokensPerSecond: number) => ({threads, tokensPerSecond});

describe("The number of threads", () => {
    it("is the least that is about as fast as the best", () => {
        expect(advisedThreads([speed(1, 50), speed(2, 90), speed(3, 92), speed(4, 60)])).toBe(2);
        expect(advisedThreads([speed(1, 50), speed(2, 5)])).toBe(1);
    });

    it("is measured by mara doctor, kept for a model, and taken by the other commands", async () => {
        const {stdout} = await mara(["doctor", "--gpu", "off", "--json", "-m", model], {env});
        const {threads, checks}: Report = JSON.parse(stdout);
        expect(threads?.measured[0]?.threads).toBe(1);
        expect(threads?.measured[0]?.tokensPerSecond).toBeGreaterThan(1);
        expect(checks.find(({name}) => name === "threads")?.detail).toContain(cache);
        const [[key, kept]] = Object.entries(JSON.parse(readFileSync(cache, "utf8"))) as [[string, number]];
        expect(kept).toBe(threads?.advised);

        // The number differs from any default, so that its use can be seen.
        writeFileSync(cache, JSON.stringify({[key]: 3}));
        const evaluated = [
            "eval",
            "--gpu",
            "off",
            "-m",
            model,
            "-a",
            "demo",
            "--prompts",
            "demo",
            "--reward",
            "length"
        ];
        const short = [...evaluated, "--limit", "1", "--max-tokens", "2", "--no-fluency", "--json"];
        expect(JSON.parse(await succeed(short, {env})).config.threads).toBe(3);
        expect(JSON.parse(await succeed([...short, "--threads", "1"], {env})).config.threads).toBe(1);
        // Short, because a dry run measures, and three threads are slow on two cores.
        const pairs = join(folder, "pairs.jsonl");
        const lines = ["a", "d"].map((prompt) => JSON.stringify({prompt, chosen: "b", rejected: "c"}));
        writeFileSync(pairs, lines.join("\n"));
        const trained = ["train", "--gpu", "off", "-m", model, "--pairs", pairs, "--method", "preference"];
        const dry = [...trained, "--preset", "small", "--out", join(folder, "run"), "--dry-run", "--json"];
        expect(JSON.parse(await succeed(dry, {env})).config.threads).toBe(3);
        writeFileSync(cache, "not JSON");
        expect(JSON.parse(await succeed(dry, {env})).config.threads).toBe(null);
    });

    it("is not kept for the demo's model, which runs on one", async () => {
        const elsewhere = {XDG_CACHE_HOME: join(folder, "elsewhere")};
        const {stdout} = await mara(["doctor", "--gpu", "off", "--json"], {env: elsewhere});
        const {checks}: Report = JSON.parse(stdout);
        expect(checks.find(({name}) => name === "threads")).toMatchObject({status: "ok"});
        expect(existsSync(elsewhere.XDG_CACHE_HOME)).toBe(false);
    });
});
