import {expect, it} from "vitest";
import {writeTinyModel} from "../support/tiny-model.js";
import {expectFailure, mara, succeed} from "./helpers.js";

const model = writeTinyModel({seed: 3, sharpness: 2});
const tuned = writeTinyModel({seed: 5, sharpness: 2});
const chat = ["chat", "--threads", "1", "--gpu", "off", "--context-size", "512", "-m", model, "-p", "Hello", "--json"];

it("mara chat needs no agent for a guided model", async () => {
    const answer = async (guide: string) => {
        const output = JSON.parse(await succeed([...chat, "--max-tokens", "12", "--guide", guide]));
        expect(output).toMatchObject({prompt: "Hello", mode: "lanes", stats: {decisions: 0}});
        expect(output.stats.generatedTokens).toBeGreaterThan(0);
        return output.answer;
    };
    const plain = await answer(`value:tuned=${tuned},weight=0`);
    expect(await answer(`value:tuned=${tuned},base=${model},weight=1.5`)).not.toBe(plain);
});

it.each(["value:weight=1,weight=2", "value:tunned=a.gguf", "constructor:a=b"])(
    "mara chat refuses the guide %j",
    async (guide) => {
        expectFailure(
            await mara([...chat, "--guide", guide]),
            /^Expected a guide such as value:tuned=FILE.* for --guide but received .* \(INVALID_ARGUMENT\)$/
        );
    }
);

it("mara chat tells what is wrong with a guide's options and files", async () => {
    expectFailure(
        await mara([...chat, "--guide", `contrast:amateur=${tuned},weight=much`]),
        /^Expected a finite number for weight but received NaN \(INVALID_ARGUMENT\)$/
    );
    expectFailure(
        await mara([...chat, "--guide", "value:tuned=nowhere.gguf"]),
        /^There is no model file .*nowhere\.gguf for tuned\. Give a \.gguf file\. \(MODEL_NOT_FOUND\)$/
    );
});
