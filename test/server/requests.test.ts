/** What a request is refused for, and what guards the server. */
import {beforeAll, describe, expect, it} from "vitest";
import {createServer, type LogEntry} from "../../lib/server/index.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoModel, demoServer, type Json, question} from "./helpers.js";

const path = "/v1/chat/completions";
const messages = question;
const image = {type: "image_url", image_url: {url: "data:"}};
const call = {id: "a", type: "function", function: {name: "look", arguments: "{}"}};
const tool = {type: "function", function: {name: "look"}};
const deep = "[".repeat(10_000) + "]".repeat(10_000);
const deepCall = {role: "assistant", tool_calls: [{...call, function: {name: "look", arguments: deep}}]};
const deepResult = {role: "tool", tool_call_id: "a", content: deep};
const toolOf = (parameters: object) => ({type: "function", function: {name: "look", parameters}});
const schemaOf = (schema: object) => ({
    response_format: {type: "json_schema", json_schema: {name: "x", schema}}
});

/** Each array in it may be of two kinds, which nothing tells apart before its end. */
const ambiguous = {
    $ref: "#/$defs/a",
    $defs: {a: {anyOf: [1, 2].map((minItems) => ({type: "array", minItems, items: {$ref: "#/$defs/a"}}))}}
};
const nested = (levels: number): object =>
    levels === 0 ? {type: "string"} : {type: ["array", "array"], items: nested(levels - 1)};

describe.skipIf(!hasDemo)(`A request${needsDemo}`, () => {
    let client: Client;
    const log: LogEntry[] = [];
    beforeAll(async () => {
        client = await demoServer({
            parallel: 1,
            contextSize: 512,
            maxBodyBytes: 200_000,
            log: (entry) => log.push(entry)
        });
    });

    const wrong: [param: string | null, status: number, body: object][] = [
        ["frobnicate", 400, {messages, frobnicate: 1}],
        ["messages", 400, {}],
        ["messages", 400, {messages: []}],
        ["messages[0].role", 400, {messages: [{role: "owner", content: "x"}]}],
        ["messages[0].content[0].image_url", 400, {messages: [{role: "user", content: [image]}]}],
        ["messages[1].content", 400, {messages: [...messages, {role: "assistant"}]}],
        ["messages[1].tool_call_id", 400, {messages: [...messages, {role: "tool", tool_call_id: "b", content: "x"}]}],
        ["messages", 400, {messages: [...messages, {role: "assistant", tool_calls: [call]}]}],
        ["messages", 400, {messages: [{role: "user", content: "word ".repeat(1500)}]}],
        ["temperature", 400, {messages, temperature: 3}],
        ["temperature", 400, {messages, temperature: "0"}],
        ["top_p", 400, {messages, top_p: 0}],
        ["seed", 400, {messages, seed: -1}],
        ["n", 400, {messages, n: 100}],
        ["logit_bias.abc", 400, {messages, logit_bias: {abc: 1}}],
        ["logit_bias.123456789", 400, {messages, logit_bias: {123456789: 1}}],
        ["logit_bias.__proto__", 400, {messages, logit_bias: JSON.parse('{"__proto__": 5}')}],
        ["messages[1].tool_calls[1].id", 400, {messages: [...messages, {role: "assistant", tool_calls: [call, call]}]}],
        ["tools[1].function.name", 400, {messages, tools: [tool, tool]}],
        ["top_logprobs", 400, {messages, top_logprobs: 2}],
        ["stream_options", 400, {messages, stream_options: {}}],
        ["max_tokens", 400, {messages, max_tokens: 1, max_completion_tokens: 1}],
        ["max_tokens", 400, {messages, max_tokens: 0}],
        ["store", 400, {messages, store: true}],
        ["tool_choice", 400, {messages, tool_choice: "required"}],
        [
            "tool_choice.function.name",
            400,
            {messages, tools: [tool], tool_choice: {type: "function", function: {name: "x"}}}
        ],
        ["response_format", 400, {messages, tools: [tool], response_format: {type: "json_object"}}],
        ["response_format.json_schema.schema.pattern", 400, {messages, ...schemaOf({type: "string", pattern: "a"})}],
        [
            "response_format.json_schema.schema.properties.a.type",
            400,
            {messages, ...schemaOf({type: "object", properties: {a: {type: "date"}}})}
        ],
        [
            "response_format.json_schema.schema.prefixItems",
            400,
            {messages, ...schemaOf({type: "array", prefixItems: 1})}
        ],
        ["response_format.json_schema.schema.anyOf[0].allOf", 400, {messages, ...schemaOf({anyOf: [{allOf: []}]})}],
        ["response_format.json_schema.schema.properties", 400, {messages, ...schemaOf({properties: {}, oneOf: []})}],
        ["response_format.json_schema.schema.items.$ref", 400, {messages, ...schemaOf({items: {$ref: "#"}})}],
        ["tools[0].function.parameters.properties.a", 400, {messages, tools: [toolOf({properties: {a: 1}})]}],
        ["tools[0].function.parameters.properties", 400, {messages, tools: [toolOf({properties: 5})]}],
        [
            "tools[0].function.parameters",
            400,
            {messages, tools: [toolOf({$ref: "#/$defs/a", $defs: {a: {$ref: "#/$defs/a"}}})]}
        ],
        [
            "tools[0].function.parameters.properties.a.minLength",
            400,
            {messages, tools: [toolOf({properties: {a: {type: "string", minLength: "x"}}})]}
        ],
        ["response_format.json_schema.schema", 400, {messages, ...schemaOf(ambiguous)}],
        ["response_format.json_schema.schema", 400, {messages, max_tokens: 1, ...schemaOf({const: "\x1b[31m"})}],
        ["tools[0].function.parameters", 400, {messages, tools: [toolOf({properties: {"a\x9b": {}}})]}],
        ["response_format.json_schema.schema", 400, {messages, ...schemaOf({enum: [...Array(30_000).keys()]})}],
        ["messages[1].tool_calls[0].function.arguments", 400, {messages: [...messages, deepCall]}],
        ["messages[2].content", 400, {messages: [...messages, {role: "assistant", tool_calls: [call]}, deepResult]}],
        ["model", 404, {messages, model: "gpt-4"}],
        ["model", 404, {messages, model: "demo:nobody"}],
        ["mara.agent", 404, {messages, mara: {agent: "nobody"}}],
        ["mara.agent", 400, {messages, model: "demo:house", mara: {agent: "other"}}],
        ["mara.threshold", 400, {messages, model: "demo:house", mara: {threshold: 2}}],
        ["mara", 400, {messages, mara: {threshold: 0.5}}],
        ["top_k", 400, {messages, model: "demo:house", top_k: 300}]
    ];

    it.each(wrong)("is refused by the name of %s with %i", async (param, status, body) => {
        const error = await client.refused(path, {model: "demo", ...body});
        expect(error).toMatchObject({param, status, type: "invalid_request_error"});
        expect(error.message).toContain(param);
    });

    it("is refused if it is too large, no JSON, or of another type", async () => {
        const large = {model: "demo", messages: [{role: "user", content: "x".repeat(300_000)}]};
        expect(await client.refused(path, large)).toMatchObject({status: 413, code: "body_too_large"});
        for (const length of ["5", "300000000", "", "many"]) {
            const init = {headers: {"content-length": length}};
            expect(await client.refused(path, large, init)).toMatchObject({status: 413, code: "body_too_large"});
        }
        const send = (body: string, type = "application/json") =>
            client.refused(path, undefined, {method: "POST", body, headers: {"content-type": type}});
        expect(await send("{")).toMatchObject({status: 400, code: "invalid_json"});
        expect(await send(`{"default":${deep}}`)).toMatchObject({status: 400, code: "invalid_json"});
        expect(await send("{}", "text/plain")).toMatchObject({status: 415});
        expect(await send("[]")).toMatchObject({status: 400});
        expect(await client.refused("/v1/nothing", undefined)).toMatchObject({status: 404});
        for (const method of ["GET", "HEAD", "OPTIONS"]) {
            const {status, headers} = await client.request(path, undefined, {method});
            expect([status, headers.get("allow")]).toEqual([405, "POST"]);
        }
    });

    it("is told the first of a great many errors", async () => {
        const many = 100_000;
        const long: [path: string, param: string, body: object][] = [
            [path, "messages[0].role", {model: "demo", messages: Array(many / 2).fill({})}],
            ["/v1/responses", "input[0].role", {model: "demo", input: Array(many / 2).fill({})}],
            ["/v1/completions", "prompt[0]", {model: "demo", prompt: Array(many / 2).fill(-1)}],
            ["/detokenize", "tokens[0]", {tokens: Array(many / 2).fill(-1)}],
            [
                "/mara/trace",
                "turns[0].answers[0].tokens[0].text",
                {description: "", turns: [{question: "", answers: [{side: "", tokens: Array(3 * many).fill({})}]}]}
            ]
        ];
        for (const [path, param, body] of long)
            expect(await client.refused(path, body)).toMatchObject({status: 400, param});
    });

    it("may have tools whose properties are null, and a schema that names a type twice at every level", async () => {
        await client.say({model: "demo", max_tokens: 1, tools: [toolOf({type: "object", properties: null})]});
        // Two to the thirtieth schemas, were each of the types converted.
        await client.say({model: "demo", max_tokens: 1, ...schemaOf(nested(30))});
    });

    it("may have alternatives that begin alike, as long as a property tells them apart", async () => {
        const node = (kind: string, inner: object) => ({type: "object", properties: {kind: {const: kind}, ...inner}});
        const tree = {
            anyOf: [node("leaf", {}), ...["and", "or"].map((kind) => node(kind, {left: {$ref: "#/$defs/t"}}))]
        };
        await client.say({model: "demo", max_tokens: 1, ...schemaOf({$ref: "#/$defs/t", $defs: {t: tree}})});
    });

    it("may give null, user and what changes nothing", async () => {
        const same = {
            user: "me",
            stop: null,
            temperature: 0,
            seed: null,
            store: false,
            n: 1,
            tools: null,
            logit_bias: null,
            mara: null
        };
        expect(await client.say({model: "demo", max_tokens: 4, ...same})).toBe(
            await client.say({model: "demo", max_tokens: 4, temperature: 0})
        );
    });

    it("leaves no prompt in the log, unless that is asked for", async () => {
        log.length = 0;
        const secret = "xylophone-7";
        const body = {model: "demo", messages: [{role: "user", content: secret}], max_tokens: 1};
        await client.say(body);
        await client.refused(path, {...body, [secret]: 1});
        expect(log.map(({status}) => status)).toEqual([200, 400]);
        expect(log[0]).toEqual({
            level: "info",
            message: "request",
            method: "POST",
            path,
            status: 200,
            seconds: expect.any(Number)
        });
        expect(JSON.stringify(log)).not.toContain(secret);
        const entries: LogEntry[] = [];
        const open = await demoServer({logPrompts: true, log: (entry) => entries.push(entry)});
        await open.say(body);
        expect(entries[0]?.body).toContain(secret);
        const endless = new ReadableStream({pull: (queue) => queue.enqueue(new Uint8Array(65_536).fill(0x20))});
        const init = {method: "POST", body: endless, duplex: "half"} as RequestInit;
        expect(await open.refused(path, undefined, init)).toMatchObject({status: 413});
        expect(entries[1]?.body).toMatch(/^ +$/);
    });

    it("lists the models", async () => {
        const {data} = await client.ok("/v1/models");
        expect(data.map(({id}: Json) => id)).toEqual(["demo", "demo:house"]);
        expect(await client.ok("/v1/models/demo:house")).toEqual(data[1]);
        expect(await client.refused("/v1/models/x", undefined)).toMatchObject({status: 404, code: "model_not_found"});
    });
});

describe.skipIf(!hasDemo)(`A server${needsDemo}`, () => {
    it("asks for its key, but for its health", async () => {
        const client = await demoServer({apiKey: "right"});
        const models = (key?: string) =>
            client.request(
                "/v1/models",
                undefined,
                key === undefined ? {} : {headers: {authorization: `Bearer ${key}`}}
            );
        expect((await models("right")).status).toBe(200);
        for (const key of [undefined, "", "wrong", "rightly", "Right"]) {
            const response = await models(key);
            expect(response.status).toBe(401);
            expect(((await response.json()) as Json).error.code).toBe("invalid_api_key");
        }
        expect((await client.request("/metrics")).status).toBe(401);
        expect((await client.request(path, {model: "demo", messages})).status).toBe(401);
        expect((await client.request("/health")).status).toBe(200);
    });

    it("lets no page of another origin in, but those that were named, and answers for its hosts alone", async () => {
        const origin = "https://example.com";
        const preflight = (client: Client) =>
            client.request(path, undefined, {
                method: "OPTIONS",
                headers: {
                    origin,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "content-type"
                }
            });
        const closed = await demoServer({hosts: ["localhost"]});
        expect((await preflight(closed)).headers.get("access-control-allow-origin")).toBeNull();
        expect((await closed.request("/health", undefined, {headers: {host: "localhost:80"}})).status).toBe(200);
        expect((await closed.request("/health", undefined, {headers: {host: "evil.example"}})).status).toBe(403);
        const open = await demoServer({origins: [origin], apiKey: "x"});
        const allowed = await preflight(open);
        expect([allowed.status, allowed.headers.get("access-control-allow-origin")]).toEqual([204, origin]);
    });

    it("refuses options that make no server", async () => {
        const model = await demoModel();
        const refused = async (options: object) => await createServer({model, ...options}).catch(({code}) => code);
        expect(await refused({parallel: 0})).toBe("INVALID_ARGUMENT");
        expect(await refused({agents: {"a:b": "demo"}})).toBe("INVALID_ARGUMENT");
        expect(await refused({agents: {a: "nowhere.safetensors"}})).toBe("AGENT_NOT_FOUND");
        expect(await refused({agents: {a: "test/golden/w64.agent.safetensors"}})).toBe("AGENT_WIDTH");
        expect(await refused({origins: ["*"]})).toBe("INVALID_ARGUMENT");
        expect(await refused({frobnicate: 1})).toBe("INVALID_ARGUMENT");
    });

    it("serves a model without agents", async () => {
        const client = await demoServer({agents: {}});
        expect((await client.ok("/v1/models")).data).toHaveLength(1);
        expect(await client.say({model: "demo", temperature: 0, max_tokens: 4})).not.toBe("");
        expect(await client.refused(path, {model: "demo:house", messages})).toMatchObject({status: 404});
    });
});
