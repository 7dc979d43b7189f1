/** Rollouts on a real model whose weights are quantised: there, a difference in the last bit leads to another text. */
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {stopTriggers} from "../../lib/generation/prompt-tokens.js";
import type {MaraAgent} from "../../lib/index.js";
import {type RolloutOptions, Rollouts, type Trajectory} from "../../lib/train/rollout/rollouts.js";
import {spell} from "../../lib/train/rollout/trajectory.js";
import {agentFor} from "../align/harness.js";
import {describeWithTestModel, loadTestModel, multipliesAlike} from "../support/models.js";

const prompts = ["Why is the sky blue?", "Name three fruits.", "How do I cook rice?"].map((prompt) => ({prompt}));

describeWithTestModel("Rollouts of a real model", () => {
    let model: LlamaModel;
    let agent: MaraAgent;
    beforeAll(async () => {
        model = await loadTestModel();
        agent = await agentFor(model, 3);
    });
    afterAll(async () => model.dispose());

    async function roll(options: RolloutOptions): Promise<Trajectory[]> {
        const shape = {threads: 1, contextSize: 128, maxTokens: 10, candidates: {topK: 10}};
        const rollouts = await Rollouts.open(model, {...shape, ...options});
        const trajectories: Trajectory[] = [];
        await rollouts.run(agent, prompts, [1, 2, 3], (trajectory, i) => {
            trajectories[i] = trajectory;
        });
        for (const {prompt, tokens, text, decisions, states, width} of trajectories) {
            const given = await rollouts.responseStates(prompt, text);
            // The emitted tokens are not always those that tokenising their text would give.
            const alike = given.tokens.findIndex((token, i) => token !== tokens[i]);
            for (const {tokenIndex, firstState, chosenRank, tried} of decisions) {
                if (chosenRank >= tried || (alike >= 0 && tokenIndex >= alike)) continue;
                const row = (firstState + chosenRank) * width;
                expect(given.states.slice(tokenIndex * width, (tokenIndex + 1) * width)).toEqual(
                    states.slice(row, row + width)
                );
            }
        }
        await rollouts.close();
        return trajectories;
    }

    it("are the same with any number of sequences and in serial mode, bit for bit", {timeout: 300_000}, async () => {
        const expected = await roll({sequences: 3});
        const decisions = expected.flatMap((trajectory) => trajectory.decisions);
        expect(decisions.length).toBeGreaterThan(15);
        expect(decisions.some(({chosenRank}) => chosenRank > 0)).toBe(true);
        expect(await roll({sequences: 1})).toEqual(expected);
        expect(await roll({sequences: 2})).toEqual(expected);
        // Serial mode decodes single tokens, which some CPUs multiply with another kernel.
        if (await multipliesAlike(model)) expect(await roll({sequences: 2, mode: "serial"})).toEqual(expected);
    });

    it("spell characters that several tokens make up", () => {
        const stop = stopTriggers(model);
        const tokens = model.tokenize("Grüße 🦙🦙 – 日本");
        const whole = model.detokenize(tokens);
        const end = model.tokens.eot ?? (model.tokens.eos as Token);
        const {text, spans} = spell(model, [...tokens, end], stop);
        expect(text).toBe("Grüße 🦙🦙 – 日本");
        expect(text).toBe(whole);
        expect(spans.length).toBe(tokens.length + 1);
        expect(spans.map(([start, end]) => text.slice(start, end)).join("")).toBe(text);
        // No span cuts a character, so every piece is well-formed.
        for (const [start, end] of spans) expect(text.slice(start, end)).not.toMatch(/\p{Surrogate}/u);
        expect(spans.some(([start, end]) => start === end)).toBe(true);
        expect(spans.at(-1)).toEqual([text.length, text.length]);
    });

    it("spell nothing from a stop text on", () => {
        const tokens = model.tokenize("Hello there. User: more");
        const stop = {tokens: new Set<Token>(), texts: [" User:"]};
        const {text, spans} = spell(model, tokens, stop);
        expect(text).toBe("Hello there.");
        expect(spans.at(-1)).toEqual([text.length, text.length]);
    });
});
