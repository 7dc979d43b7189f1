import {beforeAll, describe, expect, it} from "vitest";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoServer, type Json, question} from "./helpers.js";

const path = "/v1/responses";
const input = question[0]?.content as string;

describe.skipIf(!hasDemo)(`POST ${path}${needsDemo}`, () => {
    let client: Client;
    beforeAll(async () => {
        client = await demoServer();
    });

    it("answers as a chat does, and keeps nothing", async () => {
        for (const model of ["demo", "demo:house"]) {
            const text = await client.say({model, temperature: 0});
            const response = await client.ok(path, {model, temperature: 0, input});
            expect(response).toMatchObject({object: "response", status: "completed", store: false, error: null});
            expect(response.output).toMatchObject([
                {
                    type: "message",
                    role: "assistant",
                    status: "completed",
                    content: [{type: "output_text", text, annotations: []}]
                }
            ]);
            expect(response.usage.total_tokens).toBe(response.usage.input_tokens + response.usage.output_tokens);
        }
        const cut = await client.ok(path, {model: "demo", temperature: 0, input, max_output_tokens: 2});
        expect(cut).toMatchObject({status: "incomplete", incomplete_details: {reason: "max_output_tokens"}});
        const items = [
            {role: "user", content: [{type: "input_text", text: input}]},
            {type: "function_call", call_id: "a", name: "find", arguments: "{}"},
            {type: "function_call_output", call_id: "a", output: "left"}
        ];
        expect(
            (await client.ok(path, {model: "demo", temperature: 0, input: items, instructions: "Be kind."})).status
        ).toBe("completed");
        expect(await client.refused(path, {model: "demo", input, previous_response_id: "resp_1"})).toMatchObject({
            status: 400,
            param: "previous_response_id"
        });
    });

    it("marks the item that was cut as incomplete, whole and as a stream", async () => {
        const parameters = {type: "object", properties: {room: {type: "string", minLength: 200, maxLength: 200}}};
        const forced = {
            tools: [{type: "function", name: "find", parameters}],
            tool_choice: {type: "function", name: "find"}
        };
        // Tokens by which the call's name is known, and its arguments are not whole.
        for (const [more, max_output_tokens, type] of [
            [{}, 2, "message"],
            [forced, 80, "function_call"]
        ] as const) {
            const body = {model: "demo", temperature: 0, input, max_output_tokens, ...more};
            const cut = await client.ok(path, body);
            expect(cut).toMatchObject({status: "incomplete", incomplete_details: {reason: "max_output_tokens"}});
            expect(cut.output).toMatchObject([{type, status: "incomplete"}]);
            const events = await (await client.stream({...body, messages: undefined}, path)).all();
            const done = events.find((event: Json) => event.type === "response.output_item.done");
            expect(done.item).toMatchObject({type, status: "incomplete"});
            expect(events.at(-1)).toMatchObject({type: "response.incomplete", response: {status: "incomplete"}});
        }
        const {output} = await client.ok(path, {model: "demo", temperature: 0, input, ...forced});
        expect(output).toMatchObject([{type: "function_call", status: "completed"}]);
    });

    it("names its own fields in refusals", async () => {
        const call = {type: "function_call", call_id: "a", name: "find", arguments: "{}"};
        const result = {type: "function_call_output", call_id: "a", output: "left"};
        const format = (schema: object) => ({text: {format: {type: "json_schema", name: "x", schema}}});
        const tool = (parameters: object) => ({type: "function", name: "find", parameters});
        const deep = "[".repeat(600) + "]".repeat(600);
        const wrong: [param: string, body: object][] = [
            ["input", {input: "word ".repeat(5000)}],
            ["input", {input: [call]}],
            ["input[0].arguments", {input: [{...call, arguments: "{"}]}],
            ["input[1].arguments", {input: [call, {...call, call_id: "b", arguments: "{"}, result]}],
            ["input[1].call_id", {input: [call, call, result], instructions: "Be kind."}],
            ["input[1].call_id", {input: [call, {...result, call_id: "b"}]}],
            ["input[1].output", {input: [call, {...result, output: deep}]}],
            ["text.format.schema.items.pattern", format({items: {pattern: "a"}})],
            ["text.format", {...format({}), tools: [tool({})]}],
            ["tools[0].parameters.pattern", {tools: [tool({pattern: "a"})]}],
            ["tools[1].name", {tools: [tool({}), tool({})]}],
            ["tool_choice.name", {tools: [tool({})], tool_choice: {type: "function", name: "x"}}]
        ];
        for (const [param, body] of wrong) {
            const error = await client.refused(path, {model: "demo", input, ...body});
            expect(error).toMatchObject({status: 400, param});
            expect(error.message).toContain(param);
            expect(error.message).not.toMatch(/messages|response_format|function\./);
        }
    });

    it("streams events in order, for text and for calls", async () => {
        const read = async (body: object) => {
            const events = await (
                await client.stream({messages: undefined, temperature: 0, input, ...body}, path)
            ).all();
            expect(events.map((event: Json) => event.sequence_number)).toEqual(events.map((_, i) => i));
            return events;
        };
        const events = await read({model: "demo:house"});
        const {response} = events.at(-1);
        const text = response.output[0].content[0].text;
        expect(
            events
                .filter(({type}: Json) => type.endsWith("text.delta"))
                .map(({delta}: Json) => delta)
                .join("")
        ).toBe(text);
        const kinds = events.map(({type}: Json) => type).filter((type: string, i, all) => type !== all[i - 1]);
        expect(kinds).toEqual(
            [
                "created",
                "in_progress",
                "output_item.added",
                "content_part.added",
                "output_text.delta",
                "output_text.done"
            ]
                .concat(["content_part.done", "output_item.done", "completed"])
                .map((name) => `response.${name}`)
        );
        const parameters = {type: "object", properties: {room: {enum: ["sauna", "bar"]}}, required: ["room"]};
        const tools = [{type: "function", name: "find", parameters, strict: true}];
        const called = await read({model: "demo", tools, tool_choice: {type: "function", name: "find"}});
        const [item] = called.at(-1).response.output;
        expect(item).toMatchObject({type: "function_call", name: "find", status: "completed"});
        expect(["sauna", "bar"]).toContain(JSON.parse(item.arguments).room);
        expect(called.find(({type}: Json) => type === "response.function_call_arguments.done").arguments).toBe(
            item.arguments
        );
        const format = {type: "json_schema", name: "x", schema: {type: "boolean"}};
        const whole = await client.ok(path, {model: "demo", input, text: {format}});
        expect(["true", "false"]).toContain(whole.output[0].content[0].text.trim());
    });
});

describe.skipIf(!hasDemo)(`GET /openapi.json${needsDemo}`, () => {
    it("describes every endpoint, and knows every field of the checks", async () => {
        const client = await demoServer({apiKey: "key"});
        const document = await client.ok("/openapi.json");
        expect(document.openapi).toBe("3.1.0");
        expect(Object.keys(document.paths).sort()).toEqual([
            "/detokenize",
            "/health",
            "/mara/generations/{id}",
            "/mara/trace",
            "/metrics",
            "/tokenize",
            "/tokenizer_info",
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/models",
            "/v1/models/{id}",
            "/v1/responses"
        ]);
        const {schemas} = document.components;
        expect(schemas.ChatRequest.additionalProperties).toBe(false);
        expect(Object.keys(schemas.ChatRequest.properties)).toEqual(
            expect.arrayContaining(["messages", "top_k", "mara"])
        );
        expect(schemas.CompletionRequest.properties.model.enum).toEqual(["demo", "demo:house"]);
        const references = JSON.stringify(document).match(/#\/components\/schemas\/\w+/g) ?? [];
        for (const name of references) expect(schemas).toHaveProperty(name.split("/").at(-1) as string);
        expect(document.paths["/v1/chat/completions"].post.responses).toHaveProperty("429");
        expect(document.security).toEqual([{key: []}]);
    });
});
