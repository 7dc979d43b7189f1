/** Many requests at once: the queue, beginnings used again, clients that go away, and the end of a server. */
import {connect} from "node:net";
import {afterEach, describe, expect, it} from "vitest";
import {listen} from "../../lib/server/listen.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoServer, type Json, longAnswer, question} from "./helpers.js";

const path = "/v1/chat/completions";
const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
    for (const end of endings.splice(0)) await end();
});

/** An answer that goes on until it is cancelled. */
async function longStream(client: Client, body: object = {}) {
    const stream = await client.stream({model: "demo", ...longAnswer, ...body});
    endings.push(() => stream.cancel());
    await stream.untilText();
    return stream;
}

async function untilIdle(client: Client): Promise<void> {
    await expect.poll(async () => (await client.health()).busy, {timeout: 30_000, interval: 5}).toBe(0);
}

describe.skipIf(!hasDemo)(`Requests at once${needsDemo}`, () => {
    it("wait in a queue, and beyond it are refused with 429 and Retry-After", async () => {
        const client = await demoServer({parallel: 1, queue: 1});
        const first = await longStream(client);
        const second = client.say({model: "demo", temperature: 0});
        await expect.poll(async () => (await client.health()).waiting, {interval: 5}).toBe(1);
        const third = await client.request(path, {model: "demo", messages: question});
        expect(third.status).toBe(429);
        expect(Number(third.headers.get("retry-after"))).toBeGreaterThan(0);
        expect(((await third.json()) as Json).error).toMatchObject({type: "rate_limit_error", code: "server_busy"});
        await first.cancel();
        expect(await second).not.toBe("");
    });

    it("leave room for each other: many prompts of one request do not wait in place of other requests", async () => {
        const client = await demoServer({parallel: 1, queue: 2});
        const first = await longStream(client);
        const many = client.ok("/v1/completions", {model: "demo", prompt: Array(8).fill("Where is"), max_tokens: 1});
        await expect.poll(async () => (await client.health()).waiting, {timeout: 30_000, interval: 5}).toBe(1);
        const other = client.say({model: "demo", temperature: 0});
        await first.cancel();
        expect(await other).not.toBe("");
        expect((await many).choices).toHaveLength(8);
    });

    it("may have more answers than there are sequences, though none may wait", async () => {
        const client = await demoServer({parallel: 2, queue: 0});
        const {choices} = await client.chat({model: "demo", n: 3, max_tokens: 1});
        expect(choices).toHaveLength(3);
    });

    it("answer as they do alone: plain, aligned and by a grammar in the same batches", async () => {
        const client = await demoServer({parallel: 4});
        const questions = ["Where is the breakfast room?", "When is breakfast?", "Is there a sauna?"];
        const bodies = questions.flatMap((content) =>
            [{model: "demo"}, {model: "demo:house"}, {model: "demo:house", mara: {threshold: 0.9}}].map((how) => ({
                ...how,
                temperature: 0,
                messages: [{role: "user", content}]
            }))
        );
        const [long, ...together] = await Promise.all([
            client.say({model: "demo", ...longAnswer, max_tokens: 30}),
            ...bodies.map((body) => client.say(body))
        ]);
        expect(long).toMatch(/^\s*\[/);
        const alone: string[] = [];
        for (const body of bodies) alone.push(await client.say(body));
        // The model is sure of these texts, so that what llama.cpp rounds otherwise in other batches does not show.
        expect(together).toEqual(alone);
    });

    it("bring no warning of a leak, however many they are", async () => {
        const client = await demoServer({parallel: 2, queue: 100});
        const warnings: Error[] = [];
        const told = (warning: Error) => void warnings.push(warning);
        process.on("warning", told);
        endings.push(async () => process.off("warning", told));
        await Promise.all([
            ...Array.from({length: 12}, () => client.say({model: "demo", max_tokens: 1})),
            client.chat({model: "demo:house", n: 12, max_tokens: 1})
        ]);
        expect(warnings).toEqual([]);
    });

    it("use a beginning again that a sequence has, and the least recently used gives way", async () => {
        const client = await demoServer({parallel: 2});
        const say = async (messages: object[]) => {
            const {choices, usage} = await client.chat({model: "demo", temperature: 0, messages});
            return {answer: choices[0].message, cached: usage.prompt_tokens_details.cached_tokens, ...usage};
        };
        const user = (content: string) => ({role: "user", content});
        const conversation = (name: string) => [
            {role: "system", content: `You are ${name}. `.repeat(8)},
            user("Is there a sauna?")
        ];
        const [ada, bob, eve] = ["Ada", "Bob", "Eve"].map(conversation) as [object[], object[], object[]];
        const first = await say(ada);
        await say(bob);
        const more = [...ada, first.answer, user("Thank you.")];
        const again = await say(more);
        expect(again.cached).toBeGreaterThanOrEqual(first.prompt_tokens - 1);
        expect(again.cached).toBeLessThan(again.prompt_tokens);
        // Bob's was used longest ago.
        await say(eve);
        expect((await say(more)).cached).toBe(again.prompt_tokens - 1);
        expect((await say(bob)).cached).toBeLessThan(first.prompt_tokens / 2);
    });

    it("leave a long conversation alone that shares no more than its system message with a new one", async () => {
        const client = await demoServer({parallel: 2});
        const chat = (messages: object[]) => client.chat({model: "demo", temperature: 0, max_tokens: 4, messages});
        const system = {role: "system", content: "You are the desk of a guesthouse. ".repeat(6)};
        const user = (content: string) => ({role: "user", content});
        const long = [system, user("Is there a sauna, and where is it? ".repeat(30))];
        await chat(question);
        const {choices, usage} = await chat(long);
        // More than half of what it asks is in the long one's sequence.
        const short = await chat([system, user("Where?")]);
        expect(short.usage.prompt_tokens).toBeLessThan(usage.prompt_tokens / 2);
        const more = await chat([...long, choices[0].message, user("Thank you.")]);
        expect(more.usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(usage.prompt_tokens - 1);
    });

    it("free their sequence when the client goes away", async () => {
        const client = await demoServer({parallel: 1});
        for (const [i, model] of ["demo", "demo:house", "demo", "demo:house"].entries()) {
            const before = await client.metric("mara_abandoned_tokens_total");
            const stream = await client.stream({model, ...longAnswer, mara: {trace: true}});
            endings.push(() => stream.cancel());
            let seen = 0;
            while (seen <= 3 * i) seen += ((await stream.next()).choices[0].mara?.tokens ?? []).length;
            await stream.cancel();
            await untilIdle(client);
            const generated = (await client.metric("mara_abandoned_tokens_total")) - before;
            // The batch at hand when it went away gives one more.
            expect(generated).toBeGreaterThanOrEqual(seen);
            expect(generated).toBeLessThanOrEqual(seen + 1);
        }
        const controller = new AbortController();
        const waiting = client.request(
            path,
            {model: "demo", messages: question, ...longAnswer},
            {signal: controller.signal, method: "POST"}
        );
        await expect.poll(async () => (await client.health()).busy, {interval: 5}).toBe(1);
        controller.abort();
        expect((await waiting).status).toBe(503);
        await untilIdle(client);
    });

    it("are given up after the timeout, waiting included", async () => {
        const client = await demoServer({parallel: 1, timeout: 0.02});
        const stream = await client.stream({model: "demo", ...longAnswer, max_tokens: 900});
        const error = await client.refused(path, {model: "demo", messages: question, ...longAnswer});
        expect(error).toMatchObject({status: 408, type: "timeout_error"});
        expect((await stream.all()).at(-1).error).toMatchObject({code: "timeout"});
        expect(stream.done).toBe(false);
        await untilIdle(client);
    });

    it("are given up where nobody reads their events, before these fill the memory", async () => {
        const client = await demoServer();
        // Each prompt has an event of more than half a megabyte.
        const prompt = Array(40).fill("Where is the breakfast room? ".repeat(120));
        const body = {model: "demo", prompt, stream: true, echo: true, logprobs: 20, max_tokens: 0};
        const {status, body: events} = await client.request("/v1/completions", body);
        expect(status).toBe(200);
        await expect(events?.getReader().closed).rejects.toMatchObject({status: 408, details: {code: "slow_reader"}});
        await untilIdle(client);
        expect(await client.say({model: "demo", temperature: 0})).not.toBe("");
    });

    it("keep silent streams open with comments", async () => {
        const client = await demoServer({parallel: 1, keepAlive: 0.001});
        const stream = await client.stream({model: "demo", ...longAnswer, max_tokens: 200});
        await stream.all();
        expect(stream.comments).toBeGreaterThan(0);
    });

    it("end before the server does; later ones are refused, and those that take too long broken off", async () => {
        const client = await demoServer({parallel: 1});
        const stream = await client.stream({model: "demo", temperature: 0});
        const closed = client.server.close();
        expect(await client.refused(path, {model: "demo", messages: question})).toMatchObject({
            status: 503,
            code: "shutting_down"
        });
        const chunks = await stream.all();
        expect(chunks.at(-1).choices[0].finish_reason).toBe("stop");
        await closed;
        const other = await demoServer({parallel: 1});
        const long = await longStream(other);
        await other.server.close(0);
        expect((await long.all()).at(-1).error).toMatchObject({code: "given_up"});
    });

    it("are refused where they wait, and broken off while their prompt is read, when the server ends", async () => {
        const client = await demoServer({parallel: 1});
        const body = {
            model: "demo",
            messages: [{role: "user", content: "Where is the breakfast room? ".repeat(100)}],
            ...longAnswer
        };
        const first = client.refused(path, body);
        await expect.poll(async () => (await client.health()).busy, {timeout: 30_000, interval: 1}).toBe(1);
        const second = client.refused(path, body);
        await expect.poll(async () => (await client.health()).waiting, {timeout: 30_000, interval: 1}).toBe(1);
        await client.server.close(0);
        expect(await first).toMatchObject({status: 503, code: "given_up"});
        expect(await second).toMatchObject({status: 503, code: "shutting_down"});
    });
});

describe.skipIf(!hasDemo)(`A server on a port${needsDemo}`, () => {
    const local = {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false};
    const open = async (client: Client) => await listen(client.server, local);

    it("frees the sequence of a connection that breaks, and stops", async () => {
        const client = await demoServer({parallel: 1});
        const {url, stop} = await open(client);
        for (const stream of [true, false]) {
            const controller = new AbortController();
            const body = JSON.stringify({model: "demo", messages: question, ...longAnswer, stream});
            const headers = {"content-type": "application/json"};
            const answer = fetch(url + path, {method: "POST", body, headers, signal: controller.signal}).catch(
                () => undefined
            );
            if (stream) await (await answer)?.body?.getReader().read();
            await expect.poll(async () => (await client.health()).busy, {interval: 5}).toBe(1);
            controller.abort();
            await untilIdle(client);
        }
        await stop(5);
        await expect(fetch(`${url}/health`)).rejects.toThrow();
    });

    it("closes a connection whose answer nobody reads", async () => {
        const client = await demoServer();
        const {url, stop} = await listen(client.server, {...local, timeout: 0.1});
        const answers = [{side: "", tokens: [{text: "x".repeat(2 ** 24), decisions: []}]}];
        const body = JSON.stringify({description: "", turns: [{question: "", answers}]});
        const head = `POST /mara/trace HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
        const socket = connect(Number(new URL(url).port), "127.0.0.1");
        socket.write(head + body);
        let size = 0;
        socket.on("data", (data) => {
            size += data.length;
        });
        await new Promise((resolve) => socket.once("data", resolve));
        socket.pause();
        // The server's timer is of the same process and ends before.
        await new Promise((resolve) => setTimeout(resolve, 4000));
        const closed = new Promise((resolve) => socket.on("close", resolve));
        socket.on("error", () => {}).resume();
        await closed;
        // The page has the text twice.
        expect(size).toBeLessThan(2 ** 25);
        await stop(0);
    });

    it("says which port is in use, and refuses to listen for others without a key", async () => {
        const client = await demoServer();
        const {url, stop} = await open(client);
        const port = Number(new URL(url).port);
        const guarded = {hasKey: false, isOpen: false};
        await expect(listen(client.server, {host: "127.0.0.1", port, ...guarded})).rejects.toMatchObject({
            code: "SERVER_LISTEN"
        });
        await expect(listen(client.server, {host: "0.0.0.0", port: 0, ...guarded})).rejects.toMatchObject({
            code: "INVALID_ARGUMENT"
        });
        await stop(0);
    });
});
