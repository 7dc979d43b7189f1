/** Thoughts of reasoning models are told apart from the answer. The demo's model has none, so words of its answer stand for their marks. */
import {LlamaText} from "node-llama-cpp";
import {describe, expect, it} from "vitest";
import {wrapperOf} from "../../lib/generation/prompt-tokens.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {demoModel, demoServer, type Json} from "./helpers.js";

describe.skipIf(!hasDemo)(`Thoughts${needsDemo}`, () => {
    it("are told as reasoning_content, whole and in chunks alike", async () => {
        const asked = {
            model: "demo",
            temperature: 0,
            messages: [{role: "user", content: "How do I reset the alarm?"}]
        };
        const client = await demoServer();
        expect(await client.say(asked)).toBe("One moment. What is it?");
        const wrapper = wrapperOf(await demoModel());
        const thought = {prefix: LlamaText("One"), suffix: LlamaText("What")};
        Object.defineProperty(wrapper, "settings", {value: {...wrapper.settings, segments: {thought}}});
        const {message} = (await client.chat(asked)).choices[0];
        expect(message).toMatchObject({reasoning_content: " moment. ", content: " is it?"});
        const deltas = (await (await client.stream(asked)).all()).map(({choices: [choice]}: Json) => choice.delta);
        const text = (key: string) => deltas.map((delta: Json) => delta[key] ?? "").join("");
        expect([text("reasoning_content"), text("content")]).toEqual([" moment. ", " is it?"]);
    });
});
