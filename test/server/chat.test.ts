import {LlamaChatSession} from "node-llama-cpp";
import {beforeAll, describe, expect, it} from "vitest";
import {createAlignedContext, MaraAgent} from "../../lib/index.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoModel, demoServer, type Json, question} from "./helpers.js";

const asked = question[0]?.content as string;
const plain = {model: "demo", temperature: 0};
const aligned = {model: "demo:house", temperature: 0};

describe.skipIf(!hasDemo)(`POST /v1/chat/completions${needsDemo}`, () => {
    let client: Client;
    let raw: string;
    let kind: string;

    beforeAll(async () => {
        client = await demoServer();
        const model = await demoModel();
        const agent = await MaraAgent.load("demo");
        const {context, aligner} = await createAlignedContext(model, {
            agent,
            contextSize: 512,
            threads: 1,
            sequences: 2
        });
        const [first, second] = [context.getSequence(), context.getSequence()];
        kind = await new LlamaChatSession({contextSequence: first}).prompt(asked);
        aligner.configure({enabled: false}, second);
        raw = await new LlamaChatSession({contextSequence: second}).prompt(asked);
        await context.dispose();
    });

    it("answers as a session does, plain and aligned, in OpenAI's form", async () => {
        expect(raw).not.toBe(kind);
        expect(await client.chat(plain)).toEqual({
            id: expect.stringMatching(/^chatcmpl-\w{32}$/),
            object: "chat.completion",
            created: expect.any(Number),
            model: "demo",
            system_fingerprint: null,
            choices: [
                {
                    index: 0,
                    message: {role: "assistant", content: raw, refusal: null},
                    logprobs: null,
                    finish_reason: "stop",
                    mara: {stats: expect.objectContaining({decisions: 0, changed: 0, fallbacks: 0})}
                }
            ],
            usage: {
                prompt_tokens: expect.any(Number),
                completion_tokens: expect.any(Number),
                total_tokens: expect.any(Number),
                prompt_tokens_details: {cached_tokens: 0}
            }
        });
        const {choices, usage} = await client.chat(aligned);
        expect(choices[0].message.content).toBe(kind);
        expect(choices[0].mara.stats.changed).toBeGreaterThan(0);
        expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
    });

    it("streams the same text, with the usage last", async () => {
        const stream = await client.stream({...aligned, stream_options: {include_usage: true}});
        const chunks = await stream.all();
        expect(stream.done).toBe(true);
        expect(new Set(chunks.map(({id}: Json) => id)).size).toBe(1);
        expect(chunks.every(({object}: Json) => object === "chat.completion.chunk")).toBe(true);
        expect(chunks[0].choices[0].delta).toEqual({role: "assistant", content: "", refusal: null});
        expect(textOf(chunks)).toBe(kind);
        expect(chunks.at(-2).choices[0].finish_reason).toBe("stop");
        const {usage} = await client.chat(aligned);
        expect(chunks.at(-1)).toMatchObject({
            choices: [],
            usage: {prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens}
        });
        expect(chunks.at(-2).usage).toBeNull();
        const silent = await (await client.stream(plain)).all();
        expect(silent.some((chunk: Json) => "usage" in chunk)).toBe(false);
    });

    it("ends at max_tokens, max_completion_tokens and stop, whose text is left out", async () => {
        for (const field of ["max_tokens", "max_completion_tokens"]) {
            const {choices, usage} = await client.chat({...plain, [field]: 3});
            expect(choices[0].finish_reason).toBe("length");
            expect(usage.completion_tokens).toBe(3);
            expect(raw.startsWith(choices[0].message.content)).toBe(true);
        }
        const word = raw.split(" ")[2] as string;
        for (const stop of [word, ["nowhere to be found", word]]) {
            const {choices} = await client.chat({...plain, stop});
            expect(choices[0]).toMatchObject({
                finish_reason: "stop",
                message: {content: raw.slice(0, raw.indexOf(word))}
            });
        }
    });

    it("keeps text that could have begun a stop text, whole and as a stream", async () => {
        for (const [body, text] of [
            [plain, raw],
            [aligned, kind]
        ] as const) {
            const {usage} = await client.chat(body);
            for (const max_tokens of [undefined, usage.completion_tokens]) {
                const stopping = {...body, max_tokens, stop: [`${text.slice(-5)} X`], logprobs: true};
                const {choices} = await client.chat(stopping);
                expect(choices[0]).toMatchObject({
                    message: {content: text},
                    finish_reason: max_tokens === undefined ? "stop" : "length"
                });
                expect(choices[0].logprobs.content.map(({token}: Json) => token).join("")).toBe(text);
                expect(textOf(await (await client.stream(stopping)).all())).toBe(text);
            }
        }
    });

    it("draws by temperature, top_k, top_p, min_p and seed", async () => {
        const warm = {model: "demo", temperature: 1.2, top_k: 40, top_p: 1, max_tokens: 12};
        const texts: string[] = [];
        for (const seed of [1, 2, 3, 4, 1, 2, 3, 4]) texts.push(await client.say({...warm, seed}));
        expect(new Set(texts).size).toBeGreaterThan(1);
        expect(texts.slice(4)).toEqual(texts.slice(0, 4));
        const start = await client.say({...plain, max_tokens: 12});
        // A seed that draws something else, also with the default of any of the fields.
        const others = async (seed: number) => {
            const drawn = [texts[seed - 1]];
            for (const absent of ["temperature", "top_p"])
                drawn.push(await client.say({...warm, seed, [absent]: undefined}));
            return drawn.every((text) => text !== start);
        };
        let seed = 1;
        while (!(await others(seed))) expect(++seed).toBeLessThan(5);
        for (const narrow of [{temperature: 0}, {top_k: 1}, {top_p: 1e-6}, {min_p: 1}])
            expect(await client.say({...warm, seed, ...narrow})).toBe(start);
        const {choices} = await client.chat({...warm, seed: 1, n: 5});
        expect(choices.map(({index}: Json) => index)).toEqual([0, 1, 2, 3, 4]);
        expect(new Set(choices.map(({message}: Json) => message.content)).size).toBeGreaterThan(1);
    });

    it("forbids and favours tokens by logit_bias, and penalises repetition", async () => {
        const model = await demoModel();
        const [first] = model.tokenize(raw);
        const other = await client.say({...plain, logit_bias: {[first as number]: -100}, max_tokens: 1});
        expect(raw.startsWith(other)).toBe(false);
        const [room] = model.tokenize(" room");
        const echo = {...plain, max_tokens: 8, logit_bias: {[room as number]: 30}};
        expect(await client.say(echo)).toBe(" room".repeat(8));
        for (const penalty of [{repeat_penalty: 9}, {model: "demo:house", repeat_penalty: 9}])
            expect(await client.say({...echo, ...penalty})).not.toBe(" room".repeat(8));
        const gentle = {...echo, logit_bias: {[room as number]: 12}, max_tokens: 40};
        const times = async (body: object) => (await client.say({...gentle, ...body})).split(" room").length - 1;
        const without = await times({});
        expect(without).toBe(40);
        expect(await times({frequency_penalty: 2})).toBeLessThan(without);
        expect(await times({presence_penalty: 2})).toBeLessThan(without);
    });

    it("goes on with a conversation of all roles, and with text parts", async () => {
        const parts = [
            {
                role: "user",
                content: [
                    {type: "text", text: asked.slice(0, 9)},
                    {type: "text", text: asked.slice(9)}
                ]
            }
        ];
        expect(await client.say({...plain, messages: parts})).toBe(raw);
        const messages = [
            {role: "developer", content: "You are the desk of a guesthouse."},
            ...question,
            {role: "assistant", content: raw},
            {role: "system", content: "Be brief."},
            {role: "user", content: "Thank you."}
        ];
        const {usage, choices} = await client.chat({...plain, messages});
        expect(choices[0].message.content).not.toBe("");
        const {usage: before} = await client.chat({...plain, messages: messages.slice(0, 2), max_tokens: 1});
        expect(usage.prompt_tokens).toBeGreaterThan(before.prompt_tokens + before.completion_tokens);
        // Every message is read.
        for (const at of messages.keys()) {
            const others = messages.map((message, i) => (i === at ? {...message, content: "x"} : message));
            const {usage: less} = await client.chat({...plain, messages: others, max_tokens: 1});
            expect(less.prompt_tokens).toBeLessThan(usage.prompt_tokens);
        }
    });

    it("tells log-probabilities among the candidates", async () => {
        const options = {max_tokens: 3, logprobs: true, top_logprobs: 2};
        for (const model of ["demo", "demo:house"]) {
            const {choices} = await client.chat({...plain, model, ...options});
            const {content} = choices[0].logprobs;
            expect(content.map(({token}: Json) => token).join("")).toBe(choices[0].message.content);
            for (const {token, logprob, bytes, top_logprobs} of content) {
                expect(Buffer.from(bytes).toString()).toBe(token);
                expect(logprob).toBeLessThanOrEqual(0);
                expect(top_logprobs.length).toBeLessThanOrEqual(2);
                // Aligned, there may be one candidate only.
                expect(top_logprobs.length).toBeGreaterThanOrEqual(model === "demo" ? 2 : 1);
                for (const other of top_logprobs) expect(other.logprob).toBeLessThanOrEqual(0);
            }
            const chunks = await (await client.stream({...plain, model, ...options})).all();
            expect(chunks.flatMap(({choices: [choice]}: Json) => choice?.logprobs?.content ?? [])).toEqual(content);
        }
    });
});

function textOf(chunks: readonly Json[]): string {
    return chunks.map(({choices}) => choices[0]?.delta.content ?? "").join("");
}
