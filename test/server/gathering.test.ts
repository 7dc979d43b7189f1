/** Plain requests of a server without agents: those that generate at once share the model's batches. */
import type {LlamaContext} from "node-llama-cpp";
import {describe, expect, it, vi} from "vitest";
import type {AddonContext} from "../../lib/align/node-llama-cpp/internals.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoModel, demoServer, longAnswer} from "./helpers.js";

const count = 120;
const questions = [
    "Where is the breakfast room?",
    "When is breakfast?",
    "Is there a sauna?",
    "Where do I park my car?"
];
/** A server without agents, and the sizes of the batches that it decodes, in tokens. */
async function plainServer(): Promise<{client: Client; batches: number[]}> {
    const create = vi.spyOn(await demoModel(), "createContext");
    const client = await demoServer({agents: {}, parallel: questions.length});
    const context = (await create.mock.results.at(-1)?.value) as LlamaContext;
    create.mockRestore();
    const {_ctx: native} = context as unknown as {_ctx: AddonContext};
    const init = native.initBatch;
    const batches: number[] = [];
    const value = (size: number) => {
        batches.push(size);
        init.call(native, size);
    };
    Object.defineProperty(native, "initBatch", {value, configurable: true});
    return {client, batches};
}

describe.skipIf(!hasDemo)(`Plain requests at once${needsDemo}`, () => {
    it("answer as they do alone", async () => {
        const {client, batches} = await plainServer();
        const bodies = questions.map((content) => ({
            model: "demo",
            temperature: 0,
            messages: [{role: "user", content}]
        }));
        const alone: string[] = [];
        for (const body of bodies) alone.push(await client.say(body));
        expect(new Set(alone).size).toBeGreaterThan(1);
        const apart = batches.splice(0).length;
        // The model is sure of these texts, so that what llama.cpp rounds otherwise in other batches does not show.
        expect(await Promise.all(bodies.map((body) => client.say(body)))).toEqual(alone);
        expect(batches.length).toBeLessThan(apart / 2);
    });

    it.each([0, 5])("share their decodes, begun %i tokens apart", async (apart) => {
        const {client, batches} = await plainServer();
        await Promise.all(
            questions.map(async (content, i) => {
                while (batches.length < i * apart) await new Promise((resolve) => setTimeout(resolve));
                const messages = [{role: "user", content}];
                const {usage} = await client.chat({model: "demo", ...longAnswer, max_tokens: count, messages});
                expect(usage.completion_tokens).toBe(count);
            })
        );
        // All four in each while all of them generate; sequences that stay out of step share at most three by three.
        expect(batches.filter((size) => size === questions.length).length).toBeGreaterThanOrEqual(count / 2);
    });
});
