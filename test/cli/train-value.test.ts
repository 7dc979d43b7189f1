/** `mara train --method value`, and the network that it writes as a guide. */
import {existsSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {expect, it} from "vitest";
import {writeTinyModel} from "../support/tiny-model.js";
import {expectFailure, mara, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const model = writeTinyModel({seed: 3, sharpness: 2});
const file = join(folder, "demonstrations.jsonl");
const out = join(folder, "network.safetensors");
writeFileSync(
    file,
    ["once", "the hen", "is it so"]
        .map((prompt) => JSON.stringify({prompt, response: "the hen and the hen", cut: true}))
        .join("\n")
);
const train = ["train", "--method", "value", "-m", model, "--gpu", "off", "--threads", "1", "--demonstrations", file];

it("checks what it would learn from, writes a network, and mara chat takes it", async () => {
    const planned = JSON.parse(await succeed([...train, "--out", out, "--epochs", "12", "--dry-run"]));
    expect(planned).toEqual({
        model,
        demonstrations: 3,
        prompts: 3,
        candidates: 40,
        epochs: 12,
        seed: 0,
        out
    });
    expect(existsSync(out)).toBe(false);
    const made = JSON.parse(await succeed([...train, "--out", out, "--epochs", "12", "--json"]));
    expect(made).toMatchObject({path: out, completed: true, training: {demonstrations: 2}});
    expect(made.heldOut.guided).toBeLessThan(made.heldOut.raw);
    const chat = [
        "chat",
        "--threads",
        "1",
        "--gpu",
        "off",
        "--context-size",
        "512",
        "-m",
        model,
        "-p",
        "once",
        "--json"
    ];
    const guided = await succeed([...chat, "--max-tokens", "5", "--guide", `value:network=${out},weight=3`]);
    expect(JSON.parse(guided)).toMatchObject({prompt: "once", mode: "lanes", stats: {decisions: 0}});
});

it("refuses what other methods take, and what it lacks", async () => {
    expectFailure(
        await mara([...train, "--out", out, "--reward", "length"]),
        /^Expected none of the options of agents' methods for --reward but received "length" \(INVALID_ARGUMENT\)$/
    );
    expectFailure(
        await mara(["train", "--method", "value", "-m", model, "--out", out]),
        /^Expected a file of \{prompt, response\} with --method value for --demonstrations but received undefined \(INVALID_ARGUMENT\)$/
    );
    expectFailure(await mara([...train, "--out", folder]), /^Expected a path that ends in \.safetensors for out /);
});
