/** Alignment by request: the model's name, the field `mara`, traces, settings that change while an answer goes on. */
import {beforeAll, describe, expect, it} from "vitest";
import {MaraAgent} from "../../lib/index.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {randomStudent} from "../support/students.js";
import {type Client, demoModel, demoServer, type Json, longAnswer, question} from "./helpers.js";

async function decisionsOf(
    client: Client,
    {mara, ...body}: {[field: string]: unknown; mara?: object}
): Promise<Json[]> {
    const {choices} = await client.chat({model: "demo:house", ...body, mara: {...mara, trace: true}});
    return choices[0].mara.tokens.flatMap(({decisions}: Json) => decisions);
}

describe.skipIf(!hasDemo)(`An aligned answer${needsDemo}`, () => {
    let client: Client;
    let raw: string;
    beforeAll(async () => {
        client = await demoServer({agents: {house: "demo", other: "demo"}});
        raw = await client.say({model: "demo", temperature: 0});
    });

    it("is the agent's that the model's name or mara.agent names", async () => {
        const named = await client.say({model: "demo:house"});
        expect(named).not.toBe(raw);
        for (const agent of ["house", "other"]) expect(await client.say({model: "demo", mara: {agent}})).toBe(named);
        expect(await client.say({model: "demo:other", mara: {agent: "other"}})).toBe(named);
    });

    it("is that of several agents with their weights", async () => {
        const say = (mara: object) => client.say({model: "demo", temperature: 0, mara});
        const named = await client.say({model: "demo:house"});
        const [house, other] = [{agent: "house"}, {agent: "other"}];
        expect(await say({agents: [house, other]})).toBe(named);
        expect(
            await say({
                agents: [
                    {...house, weight: 0},
                    {...other, threshold: 0}
                ]
            })
        ).toBe(raw);
        expect(await say({agents: [{...house, weight: 0}]})).toBe(raw);
        const split = [house, {...other, threshold: 0}];
        expect(await say({agents: split, combine: "all"})).toBe(named);
        expect(await say({agents: split, combine: "any"})).toBe(raw);
        const refused = (body: object) => client.refused("/v1/chat/completions", {messages: [], ...body});
        const messages = [{role: "user", content: "x"}];
        expect(await refused({model: "demo:house", messages, mara: {agents: [other]}})).toMatchObject({
            status: 400,
            param: "mara.agents"
        });
        expect(await refused({model: "demo", messages, mara: {agents: [house, {agent: "no"}]}})).toMatchObject({
            status: 404,
            param: "mara.agents[1].agent"
        });
    });

    it("is plain where nothing is rejected, or the agent is not enabled", async () => {
        expect(await client.say({model: "demo:house", mara: {threshold: 0}})).toBe(raw);
        expect(await client.say({model: "demo:house", temperature: 0, mara: {enabled: false}})).toBe(raw);
        const {choices} = await client.chat({model: "demo:house", mara: {threshold: 1}});
        expect(choices[0].message.content).toBe(raw);
        expect(choices[0].mara.stats.fallbacks).toBe(choices[0].mara.stats.decisions);
    });

    it("leaves no setting behind for the next one of its sequence", async () => {
        const one = await demoServer({parallel: 1});
        const before = await one.chat({model: "demo:house"});
        await one.say({model: "demo:house", top_k: 1, mara: {threshold: 1, cascade: "off"}});
        const after = await one.chat({model: "demo:house"});
        expect(after.choices[0].message).toEqual(before.choices[0].message);
        expect(after.choices[0].mara.stats.decisions).toBe(before.choices[0].mara.stats.decisions);
    });

    it("draws candidates by the request's settings", async () => {
        const stats = async (body: object) =>
            (await client.chat({model: "demo:house", max_tokens: 20, ...body})).choices[0].mara.stats;
        expect((await stats({top_k: 1})).decisions).toBe(0);
        expect((await stats({min_p: 1})).decisions).toBe(0);
        expect((await stats({top_p: 1e-6})).decisions).toBe(0);
        expect((await stats({top_p: 1, top_k: 256})).decisions).toBeGreaterThan((await stats({})).decisions);
        const probability = async (temperature: number | undefined) => {
            const body = {model: "demo:house", max_tokens: 1, temperature, mara: {trace: true}};
            return (await client.chat(body)).choices[0].mara.tokens[0].decisions[0].candidates[0].probability;
        };
        expect(await probability(0.5)).toBeGreaterThan(await probability(1));
        expect(await probability(2)).toBeLessThan(await probability(undefined));
    });

    it("penalises the tokens that it has, before candidates are drawn", async () => {
        // Every token has several candidates, and the most probable one is emitted.
        const all = {temperature: 1, top_p: 1, top_k: 256, mara: {threshold: 0}};
        const plain = await decisionsOf(client, all);
        const emitted = plain.map(({rank, candidates}) => candidates.find((one: Json) => one.rank === rank).token);
        const at = emitted.findIndex((token, i) => emitted.indexOf(token) < i);
        const again: number = emitted[at];
        expect(emitted.slice(0, at).filter((token) => token === again)).toHaveLength(1);
        const other: number = plain[at].candidates[1].token;
        expect(emitted.slice(0, at)).not.toContain(other);
        /** The logit of the token that comes again, above that of one that is new. */
        const lead = async (penalty: object) => {
            const {candidates} = (await decisionsOf(client, {...all, ...penalty}))[at];
            const [a, b] = [again, other].map(
                (token) => candidates.find((one: Json) => one.token === token).probability
            );
            return Math.log(a / b);
        };
        const without = await lead({});
        // Probabilities are told to four digits.
        expect(await lead({presence_penalty: 0.75})).toBeCloseTo(without - 0.75, 2);
        expect(await lead({frequency_penalty: 1.25})).toBeCloseTo(without - 1.25, 2);
        expect(await lead({frequency_penalty: 1.25, presence_penalty: 0.75})).toBeCloseTo(without - 2, 2);
        expect(await lead({frequency_penalty: -0.5})).toBeCloseTo(without + 0.5, 2);
        expect(await lead({repeat_penalty: 1.1})).toBeLessThan(without - 0.1);
        const [little, much] = [await lead({repeat_penalty: 1.05}), await lead({repeat_penalty: 1.1})];
        // It divides the logit, which the lead does not tell; both leads give the same one.
        expect((without - much) / (1 - 1 / 1.1)).toBeCloseTo((without - little) / (1 - 1 / 1.05), 0);
    });

    it("is decided by the agent's student as far as the request lets it", async () => {
        const open = async (agrees: boolean) => {
            const agent = await MaraAgent.load("demo");
            const student = randomStudent(await demoModel(), 9);
            const calibration = {shape: [2, 3], data: Float32Array.of(2, 1, -1, -2, 1, 1)};
            agent.student = agrees ? student : {...student, tensors: {...student.tensors, calibration}};
            return agent;
        };
        const alone = await MaraAgent.load("demo");
        alone.student = undefined;
        const agents = {trusty: await open(true), wrong: await open(false), alone};
        const one = await demoServer({agents});
        /** How many of the candidates that were judged the student judged. */
        const share = async (model: string, cascade?: unknown) => {
            const mara = cascade === undefined ? {} : {cascade};
            const decisions = await decisionsOf(one, {model, temperature: 1, top_p: 1, top_k: 8, max_tokens: 40, mara});
            const judged = decisions.flatMap(({candidates}) => candidates).filter(({by}) => by !== null);
            return judged.filter(({by}) => by === "student").length / judged.length;
        };
        expect(await share("demo:trusty", "off")).toBe(0);
        for (const cascade of [undefined, "auto", {agreement: 0.9}])
            expect(await share("demo:trusty", cascade)).toBeGreaterThan(0.5);
        expect(await share("demo:wrong", {agreement: 0.9})).toBe(0);
        expect(await share("demo:wrong", {agreement: 0})).toBeGreaterThan(0.5);
        const refused = await one.refused("/v1/chat/completions", {
            model: "demo:alone",
            messages: question,
            mara: {cascade: {agreement: 0.9}}
        });
        for (const agent of Object.values(agents)) agent.dispose();
        expect(refused).toMatchObject({status: 400, param: "mara.cascade", code: "unsupported_value"});
    });

    it("brings its decisions along where a trace is asked for, whole and as a stream", async () => {
        const body = {model: "demo:house", mara: {trace: true}};
        const {choices} = await client.chat(body);
        const {tokens, stats} = choices[0].mara;
        expect(tokens.map(({text}: Json) => text).join("")).toBe(choices[0].message.content);
        const decisions = tokens.flatMap(({decisions}: Json) => decisions);
        expect(decisions).toHaveLength(stats.decisions);
        expect(stats.changed).toBe(decisions.filter(({rank}: Json) => rank > 0).length);
        for (const {rank, fallback, candidates, count} of decisions) {
            expect(candidates.length).toBeLessThanOrEqual(count);
            expect(candidates.map((one: Json) => one.rank)).toContain(rank);
            const chosen = candidates.find((one: Json) => one.rank === rank);
            if (!fallback) expect(chosen.accept).toBeGreaterThan(0.5);
            for (const other of candidates)
                expect(other.rejected).toBe(other.accept !== null && other.accept <= 0.5 && other.rank < rank);
        }
        const chunks = await (await client.stream(body)).all();
        const streamed = chunks.flatMap(({choices: [choice]}: Json) => choice.mara?.tokens ?? []);
        expect(streamed.map(({text}: Json) => text)).toEqual(tokens.map(({text}: Json) => text));
        expect("tokens" in (await client.chat({model: "demo:house"})).choices[0].mara).toBe(false);
        expect(decisions[0].candidates[0]).not.toHaveProperty("opinions");
    });

    it("tells in a trace what each of several agents said", async () => {
        const agents = [{agent: "house"}, {agent: "other", weight: 3}];
        const {choices} = await client.chat({model: "demo", mara: {agents, trace: true}});
        const {tokens} = choices[0].mara;
        const candidates = tokens.flatMap((one: Json) =>
            one.decisions.flatMap((decision: Json) => decision.candidates)
        );
        const judged = candidates.filter(({accept}: Json) => accept !== null);
        expect(judged.length).toBeGreaterThan(0);
        for (const {accept, opinions} of judged) {
            expect(opinions[0]).toBe(opinions[1]);
            expect(opinions[0]).toBeCloseTo(accept, 3);
        }
        const turns = [{question: "What?", answers: [{side: "both", tokens}]}];
        const page = await client.request("/mara/trace", {description: "Both", turns});
        expect(await page.text()).toContain(JSON.stringify([judged[0].opinions[0], judged[0].opinions[1]]));
    });

    it("takes another threshold while it goes on", async () => {
        const stream = await client.stream({
            model: "demo:house",
            ...longAnswer,
            max_tokens: 300,
            top_p: 1,
            mara: {threshold: 1, trace: true}
        });
        const first = await stream.next();
        const path = `/mara/generations/${first.id}`;
        const patch = (body: object) => client.request(path, body, {method: "PATCH"});
        const seen = {rejected: 0, accepted: 0};
        for await (const {choices} of stream)
            for (const {decisions} of choices[0].mara?.tokens ?? [])
                for (const {fallback} of decisions) {
                    seen[fallback ? "rejected" : "accepted"]++;
                    if (seen.rejected === 1 && fallback) expect((await patch({threshold: 0})).status).toBe(200);
                }
        expect(seen.rejected).toBeGreaterThan(0);
        expect(seen.accepted).toBeGreaterThan(seen.rejected);
        expect((await patch({threshold: 0})).status).toBe(404);
        expect((await patch({threshold: 2})).status).toBe(400);
    });

    it("takes other agents and weights while it goes on; what is left out stays", async () => {
        const [house, other] = [{agent: "house"}, {agent: "other"}];
        const stream = await client.stream({
            model: "demo",
            ...longAnswer,
            max_tokens: 200,
            top_p: 1,
            mara: {
                agents: [
                    {...house, threshold: 1},
                    {...other, weight: 0, threshold: 0}
                ],
                trace: true
            }
        });
        const {id} = await stream.next();
        const patch = (body: object) => client.request(`/mara/generations/${id}`, body, {method: "PATCH"});
        const swapped = [
            {...house, weight: 0},
            {...other, weight: 1}
        ];
        const fallbacks: boolean[] = [];
        let changed = -1;
        for await (const {choices} of stream)
            for (const {decisions} of choices[0].mara?.tokens ?? [])
                for (const {fallback} of decisions) {
                    fallbacks.push(fallback);
                    if (changed >= 0) continue;
                    changed = fallbacks.length;
                    const refused = await patch({agents: [{agent: "no"}]});
                    expect([refused.status, ((await refused.json()) as Json).error.param]).toEqual([
                        404,
                        "agents[0].agent"
                    ]);
                    const answer = await patch({agents: swapped});
                    expect(await answer.json()).toMatchObject({id, sequences: 1, agents: swapped});
                }
        expect(fallbacks.slice(0, changed)).toEqual(Array(changed).fill(true));
        expect(fallbacks.at(-1)).toBe(false);
        expect(fallbacks).toEqual(fallbacks.toSorted((a, b) => Number(b) - Number(a)));
    });

    it("begins with settings that came while it waited; a plain one has none", async () => {
        const one = await demoServer({parallel: 1, agents: {house: "demo", other: "demo"}});
        const first = await one.stream({model: "demo", ...longAnswer, n: 8});
        const {id: plain} = await first.next();
        const patch = (id: string, body: object) => one.request(`/mara/generations/${id}`, body, {method: "PATCH"});
        expect((await patch(plain, {enabled: true})).status).toBe(404);
        const aligned = await one.stream({model: "demo:house", temperature: 0});
        const {id} = await aligned.next();
        const answer = await patch(id, {agents: [{agent: "other", threshold: 0}], combine: "all"});
        expect(await answer.json()).toMatchObject({sequences: 0, combine: "all"});
        await first.cancel();
        const chunks = await aligned.all();
        expect(chunks.map(({choices}: Json) => choices[0].delta.content ?? "").join("")).toBe(raw);
        expect((await patch(id, {threshold: 0})).status).toBe(404);
    });
});
