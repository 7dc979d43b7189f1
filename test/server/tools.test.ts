/** Answers in a form: JSON, JSON by a schema, calls of functions. */
import {beforeAll, describe, expect, it} from "vitest";
import {createServer} from "../../lib/server/index.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {describeWithTestModel, loadTestModel, testLlama, testModelPath} from "../support/models.js";
import {Client, demoServer, type Json, question} from "./helpers.js";

const room = {type: "object", properties: {room: {type: "string", enum: ["sauna", "bar"]}}, required: ["room"]};
const tools = [
    {type: "function", function: {name: "find", description: "Finds a room", parameters: room}},
    {type: "function", function: {name: "ring", parameters: {type: "object", properties: {}}}}
];
const schema = {
    type: "object",
    title: "Facts",
    properties: {
        name: {type: "string", maxLength: 5},
        open: {type: "boolean"},
        floor: {
            anyOf: [
                {type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER},
                {type: "null"}
            ]
        },
        kind: {$ref: "#/$defs/kind"}
    },
    required: ["name", "open", "floor", "kind"],
    additionalProperties: false,
    $defs: {kind: {enum: ["room", "hall"]}}
};
const both = ["demo", "demo:house"];

describe.skipIf(!hasDemo)(`A form${needsDemo}`, () => {
    let client: Client;
    beforeAll(async () => {
        client = await demoServer();
    });

    it.each(both)("holds the JSON of a schema: %s", async (model) => {
        const response_format = {type: "json_schema", json_schema: {name: "facts", strict: true, schema}};
        const facts = JSON.parse(await client.say({model, temperature: 0, max_tokens: 200, response_format}));
        expect(Object.keys(facts)).toEqual(schema.required);
        expect(facts).toMatchObject({name: expect.stringMatching(/^.{0,5}$/su), open: expect.any(Boolean)});
        expect(schema.$defs.kind.enum).toContain(facts.kind);
    });

    it("leaves the values that fit the rest of the schema, and finds definitions by escaped names", async () => {
        const json = async (schema: object) => {
            const response_format = {type: "json_schema", json_schema: {name: "x", schema}};
            return JSON.parse(await client.say({model: "demo", temperature: 0, max_tokens: 100, response_format}));
        };
        expect(await json({type: "string", enum: [null, 1, "a"]})).toBe("a");
        expect(await json({type: "integer", enum: [0.5, 2]})).toBe(2);
        expect(await json({const: 3, enum: [1, 2, 3]})).toBe(3);
        expect(await json({$ref: "#/$defs/x~1y~0z", $defs: {"x/y~z": {const: "found"}}})).toBe("found");
        expect(await json({type: "array", minItems: 2, maxItems: 2, items: {type: "null"}})).toEqual([null, null]);
    });

    it("is JSON of any kind, or text", async () => {
        const say = (type: string) =>
            client.say({model: "demo", temperature: 0, max_tokens: 20, response_format: {type}});
        expect(await say("json_object")).toMatch(/^\s*[[{"\d-]/);
        expect(await say("text")).toBe(await client.say({model: "demo", temperature: 0, max_tokens: 20}));
    });

    it.each(both)("is a call where one must come: %s", async (model) => {
        const ask = async (tool_choice: unknown, stream = false) => {
            const body = {model, temperature: 0, tools, tool_choice};
            if (!stream) return (await client.chat(body)).choices[0];
            return (await (await client.stream(body)).all()).map(({choices}: Json) => choices[0]);
        };
        const find = {type: "function", function: {name: "find"}};
        const {message, finish_reason} = await ask(find);
        expect(finish_reason).toBe("tool_calls");
        expect(message.content).toBeNull();
        expect(message.tool_calls).toEqual([
            {
                id: expect.stringMatching(/^call_\w{32}$/),
                type: "function",
                function: {name: "find", arguments: expect.any(String)}
            }
        ]);
        const call = message.tool_calls[0].function;
        expect(room.properties.room.enum).toContain(JSON.parse(call.arguments).room);
        const chunks = await ask(find, true);
        const [first, ...others] = chunks.flatMap((choice: Json) => choice.delta.tool_calls ?? []);
        expect(first).toMatchObject({index: 0, type: "function", function: {name: "find"}});
        expect(others.length).toBeGreaterThan(1);
        for (const delta of others) expect(delta).toEqual({index: 0, function: {arguments: expect.any(String)}});
        expect([first, ...others].map((delta: Json) => delta.function.arguments).join("")).toBe(call.arguments);
        expect(chunks.at(-1).finish_reason).toBe("tool_calls");
        const traced = await client.stream({model, temperature: 0, tools, tool_choice: find, mara: {trace: true}});
        const texts: string[] = (await traced.all())
            .flatMap(({choices}: Json) => choices[0].mara?.tokens ?? [])
            .map(({text}: Json) => text);
        expect(JSON.parse(texts.join(""))).toEqual({name: "find", arguments: JSON.parse(call.arguments)});
        const tokens =
            texts.findIndex((_, i) =>
                texts
                    .slice(0, i + 1)
                    .join("")
                    .includes('"room"')
            ) + 1;
        const cut = await client.chat({model, temperature: 0, tools, tool_choice: find, max_tokens: tokens});
        expect(cut.choices[0].finish_reason).toBe("length");
        expect(cut.choices[0].message.tool_calls[0].function.arguments).toMatch(/^\{"room"/);
        expect(["find", "ring"]).toContain((await ask("required")).message.tool_calls[0].function.name);
        expect((await ask({type: "function", function: {name: "ring"}})).message.tool_calls[0].function.arguments).toBe(
            "{}"
        );
    });

    it("is left to the model otherwise, and its calls and their results are read again", async () => {
        const without = await client.chat({model: "demo", temperature: 0});
        const free = await client.chat({
            model: "demo",
            temperature: 0,
            tools,
            tool_choice: "auto",
            parallel_tool_calls: false
        });
        expect(["stop", "tool_calls"]).toContain(free.choices[0].finish_reason);
        const none = await client.chat({model: "demo", temperature: 0, tools, tool_choice: "none"});
        expect(none.choices[0].message).toEqual(without.choices[0].message);
        expect(none.usage.prompt_tokens).toBe(without.usage.prompt_tokens);
        expect(free.usage.prompt_tokens).toBeGreaterThan(none.usage.prompt_tokens);
        const call = {id: "call_1", type: "function", function: {name: "find", arguments: '{"room": "sauna"}'}};
        const messages = [
            ...question,
            {role: "assistant", content: null, tool_calls: [call]},
            {role: "tool", tool_call_id: "call_1", content: '{"floor": 2}'}
        ];
        const after = await client.chat({model: "demo", temperature: 0, tools, messages});
        expect(after.usage.prompt_tokens).toBeGreaterThan(free.usage.prompt_tokens);
        const longer = [...messages.slice(0, -1), {...messages.at(-1), content: '{"floor": "the one below"}'}];
        const other = await client.chat({model: "demo", temperature: 0, tools, messages: longer, max_tokens: 1});
        expect(other.usage.prompt_tokens).toBeGreaterThan(after.usage.prompt_tokens);
    });
});

describeWithTestModel("A model that calls", () => {
    it("has its call told as it comes", async () => {
        const server = await createServer({
            model: await loadTestModel(),
            name: "smol",
            parallel: 1,
            contextSize: 2048,
            threads: 1
        });
        const client = new Client(server);
        const cities = ["Paris", "London", "Rome"];
        const parameters = {type: "object", properties: {city: {enum: [...cities, "Oslo"]}}, required: ["city"]};
        // A model this small calls where it has seen others call.
        const before = cities.flatMap((city, i) => [
            {role: "user", content: `Weather in ${city}?`},
            {
                role: "assistant",
                tool_calls: [
                    {id: `${i}`, type: "function", function: {name: "weather", arguments: `{"city": "${city}"}`}}
                ]
            },
            {role: "tool", tool_call_id: `${i}`, content: `{"celsius": ${20 + i}}`},
            {role: "assistant", content: `It is ${20 + i} degrees.`}
        ]);
        const body = {
            model: "smol",
            temperature: 0,
            max_tokens: 60,
            tools: [{type: "function", function: {name: "weather", description: "Weather of a city", parameters}}],
            messages: [...before, {role: "user", content: "Weather in Oslo?"}]
        };
        const {message, finish_reason} = (await client.chat(body)).choices[0];
        expect(finish_reason).toBe("tool_calls");
        expect(message).toMatchObject({content: null, tool_calls: [{type: "function", function: {name: "weather"}}]});
        expect(JSON.parse(message.tool_calls[0].function.arguments)).toEqual({city: "Oslo"});
        const chunks = await (await client.stream(body)).all();
        const deltas = chunks.flatMap(({choices}: Json) => choices[0].delta.tool_calls ?? []);
        expect(deltas.length).toBeGreaterThan(1);
        expect(deltas[0]).toMatchObject({index: 0, type: "function", function: {name: "weather"}});
        expect(deltas.map((delta: Json) => delta.function.arguments).join("")).toBe(
            message.tool_calls[0].function.arguments
        );
        await server.close();
    });

    it("makes one call at a time where parallel_tool_calls is false", async () => {
        // SmolLM2's own form has one call at a time; node-llama-cpp's for Llama 3 has several.
        const metadataOverrides = {general: {name: "llama 3"}, tokenizer: {chat_template: ""}} as never;
        const model = await (await testLlama()).loadModel({modelPath: testModelPath as string, metadataOverrides});
        const server = await createServer({model, name: "smol", parallel: 1, contextSize: 1024, threads: 1});
        const client = new Client(server);
        const cities = ["Paris", "London", "Rome", "Madrid", "Oslo", "Athens"];
        const parameters = {type: "object", properties: {city: {enum: cities}}, required: ["city"]};
        const before = [cities.slice(0, 2), cities.slice(2, 4)].flatMap((pair) => [
            {role: "user", content: `Weather in ${pair.join(" and ")}?`},
            {
                role: "assistant",
                tool_calls: pair.map((city) => ({
                    id: city,
                    type: "function",
                    function: {name: "weather", arguments: `{"city": "${city}"}`}
                }))
            },
            ...pair.map((city) => ({role: "tool", tool_call_id: city, content: '{"celsius": 20}'})),
            {role: "assistant", content: "It is 20 degrees in both."}
        ]);
        const calls = async (parallel_tool_calls: boolean) => {
            const {choices} = await client.chat({
                model: "smol",
                temperature: 0,
                max_tokens: 32,
                tools: [{type: "function", function: {name: "weather", parameters}}],
                messages: [...before, {role: "user", content: "Weather in Oslo and Athens?"}],
                parallel_tool_calls
            });
            return choices[0].message.tool_calls.map((call: Json) => call.function.arguments.trim());
        };
        // It goes on to call; where it is cut off is of no matter.
        expect((await calls(true)).slice(0, 2)).toEqual(['{"city": "Oslo"}', '{"city": "Athens"}']);
        expect(await calls(false)).toEqual(['{"city": "Oslo"}']);
        await server.close();
    });
});
