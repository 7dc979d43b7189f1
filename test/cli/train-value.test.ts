/** `mara train --method value`, and the network that it writes as a guide. */
import {existsSync, statSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {expect, it} from "vitest";
import {loadValueNetwork} from "../../lib/agent/value-network.js";
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

it("is told by mara inspect, and refused as an agent", async () => {
    const network = await loadValueNetwork(out);
    const report = JSON.parse(await succeed(["inspect", out, "-m", model, "--json"]));
    const {tensors, width, ...valueNetwork} = network;
    expect(report).toMatchObject({
        path: out,
        format: "safetensors",
        fileBytes: statSync(out).size,
        width: 64,
        parameters: Object.values(tensors).reduce((sum, {data}) => sum + data.length, 0),
        valueNetwork,
        model: {path: model, width, fits: true, trainedOn: true}
    });
    expect(report.tensors.map(({name}: {name: string}) => name)).toEqual(Object.keys(tensors));
    const text = await succeed(["inspect", out, "-m", writeTinyModel({seed: 4, width: 32})]);
    expect(text).toContain("a value network: a guide, which changes logits and judges nothing");
    expect(text).toMatch(/trained on +the model of SHA-256 [0-9a-f]{12}… \(not this one\)/);
    expect(text).toContain("does not fit: its embedding size is 32");
    expect(text).toContain(`mara chat --guide value:network=${out},weight=1`);
    const refusal = new RegExp(
        `^Could not load ${out}: It is a value network, which changes logits and judges nothing\\. Take it as a guide: ` +
            `valueModel\\(\\{network: "${out}"\\}\\), or --guide value:network=${out} on the command line\\. \\(AGENT_FORMAT\\)$`
    );
    expectFailure(await mara(["convert", out, join(folder, "agent.pth")]), refusal);
    expectFailure(await mara(["chat", "-m", model, "-a", out, "-p", "once"]), refusal);
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
    expectFailure(
        await mara([...train, "--out", out, "--queue", "redis://:secret@127.0.0.1:1"]),
        "--queue goes with the methods of agents. A value network is trained on this machine alone: leave --queue out. (INVALID_ARGUMENT)"
    );
    expectFailure(await mara([...train, "--out", folder]), /^Expected a path that ends in \.safetensors for out /);
});
