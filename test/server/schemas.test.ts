/** Schemas that are refused, since no answer could fit them. */
import {beforeAll, describe, expect, it} from "vitest";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoServer, question} from "./helpers.js";

const chat = {model: "demo", messages: question, max_tokens: 1};
const asFormat = (schema: object) => ({response_format: {type: "json_schema", json_schema: {name: "x", schema}}});

/** Schemas that no answer fits, or to which none can be held, and the place of what is wrong. */
const unfulfillable: [place: string, schema: object][] = [
    ["enum", {enum: []}],
    ["enum", {enum: "abc"}],
    ["enum", {type: "string", enum: [1, null]}],
    ["enum", {const: "a", enum: ["b"]}],
    ["const", {type: "integer", const: 0.5}],
    ["minLength", {enum: ["a"], minLength: 2}],
    ["anyOf", {anyOf: []}],
    ["oneOf", {oneOf: []}],
    ["anyOf", {oneOf: [{type: "null"}], anyOf: [{type: "null"}]}],
    ["$ref", {$ref: "#/$defs/a", $defs: {b: {}}}],
    ["required[1]", {properties: {a: {}}, required: ["a", "b"]}],
    ["required[0]", {type: "object", required: ["toString"]}],
    ["required", {type: "object", required: "a"}],
    ["maxProperties", {properties: {a: {}, b: {}}, maxProperties: 1}],
    ["minProperties", {properties: {a: {}}, minProperties: 2}],
    ["minProperties", {type: "object", minProperties: 3, maxProperties: 2}],
    ["minLength", {type: "string", minLength: 3, maxLength: 2}],
    ["minLength", {type: "string", format: "date", minLength: 30}],
    ["minItems", {type: "array", minItems: 3, maxItems: 2}],
    ["maxItems", {type: "array", prefixItems: [true, true], maxItems: 1}],
    ["items.minItems", {type: "array", items: {minItems: 1}}],
    ["minItems", {type: "array", minItems: 1e9}],
    ["maxLength", {type: "string", maxLength: 1001}],
    ["maxItems", {type: "array", prefixItems: [true], maxItems: 601}]
];

describe.skipIf(!hasDemo)(`A schema${needsDemo}`, () => {
    let client: Client;
    beforeAll(async () => {
        client = await demoServer({parallel: 1, contextSize: 512});
    });

    it.each(unfulfillable)("is refused by the place of what no answer fits: %s of %j", async (place, schema) => {
        const param = `response_format.json_schema.schema.${place}`;
        const error = await client.refused("/v1/chat/completions", {...chat, ...asFormat(schema)});
        expect(error).toMatchObject({status: 400, param});
        expect(error.message).toContain(param);
    });

    it("is refused so in a tool, too", async () => {
        const parameters = {type: "object", properties: {a: {enum: []}}};
        const tools = [{type: "function", function: {name: "look", parameters}}];
        expect(await client.refused("/v1/chat/completions", {...chat, tools})).toMatchObject({
            status: 400,
            param: "tools[0].function.parameters.properties.a.enum"
        });
    });

    it("is refused with characters that turn the direction of text, by their code", async () => {
        const error = await client.refused("/v1/chat/completions", {...chat, ...asFormat({const: "\u202e"})});
        expect(error).toMatchObject({status: 400, param: "response_format.json_schema.schema"});
        expect(error.message).toContain("U+202E");
    });

    it("may have the largest counts", async () => {
        const texts = {type: "array", minItems: 1000, items: {type: "string", minLength: 1000, maxLength: 1000}};
        await client.chat({...chat, ...asFormat({type: "array", prefixItems: [texts], maxItems: 600})});
        const others = {type: "object", properties: {a: {}}, additionalProperties: true, maxProperties: 600};
        await client.chat({...chat, ...asFormat(others)});
    });
});
