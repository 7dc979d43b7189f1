/** Functions that a model may call, and the form in which it must answer. */
import type {ChatHistoryItem, ChatModelFunctions, GbnfJsonSchema, LlamaGrammar} from "node-llama-cpp";
import {convertSchema} from "../chat/json-schema.js";
import {isTooAmbiguous} from "../chat/readings.js";
import {reasonOf} from "../errors.js";
import {ApiError, refused} from "./api-error.js";
import type {Engine} from "./engine.js";
import type {ChatRequest} from "./schemas/chat.js";

export interface Form {
    history: ChatHistoryItem[];
    functions: ChatModelFunctions | undefined;
    grammar: LlamaGrammar | undefined;
    /** The answer is the JSON of a call, `{name, arguments}`. */
    isCall: boolean;
    maxCalls: number | undefined;
}

type Fields = Pick<ChatRequest, "tools" | "tool_choice" | "response_format" | "parallel_tool_calls">;

/** @throws ApiError 400 */
export async function formOf(engine: Engine, history: ChatHistoryItem[], fields: Fields): Promise<Form> {
    const form: Form = {history, functions: undefined, grammar: undefined, isCall: false, maxCalls: undefined};
    const {tools, tool_choice: choice, response_format: format} = fields;
    const functions = await functionsOf(engine, tools ?? []);
    const hasForm = format != null && format.type !== "text";
    if (choice != null && choice !== "none" && choice !== "auto" && tools == null)
        throw refused("tool_choice", "the request has no tools");
    if (Object.keys(functions).length > 0 && choice !== "none") {
        if (hasForm) throw refused("response_format", "not together with tools");
        if (choice == null || choice === "auto")
            return {...form, functions, maxCalls: fields.parallel_tool_calls === false ? 1 : undefined};
        return await forcedCall(engine, form, functions, choice === "required" ? undefined : choice.function.name);
    }
    if (!hasForm) return form;
    if (format.type === "json_object") return {...form, grammar: await engine.model.llama.getGrammarFor("json")};
    const place = "response_format.json_schema.schema";
    return {...form, grammar: await grammarOf(engine, heldSchema(format.json_schema.schema, place), place)};
}

/** @throws ApiError 400 */
async function functionsOf(engine: Engine, tools: NonNullable<ChatRequest["tools"]>): Promise<ChatModelFunctions> {
    const functions: [name: string, ChatModelFunctions[string]][] = [];
    for (const [i, tool] of tools.entries()) {
        const {name, description, parameters} = tool.function;
        if (functions.some(([other]) => other === name))
            throw refused(`tools[${i}].function.name`, `another tool is called ${name}. Give each a name of its own`);
        const place = `tools[${i}].function.parameters`;
        const held = parameters == null ? undefined : heldSchema(parameters, place);
        const params = parameters == null || isEmpty(parameters) ? undefined : held;
        // node-llama-cpp makes it once the model calls, and a failure would come in the midst of the answer.
        if (params !== undefined) await grammarOf(engine, params, place);
        functions.push([name, {...(description == null ? {} : {description}), ...(params && {params})}]);
    }
    return Object.fromEntries(functions);
}

/** @throws ApiError 400 that names the first keyword to which a grammar would not hold the answer */
function heldSchema(schema: unknown, place: string): GbnfJsonSchema {
    const {schema: made, unheld} = convertSchema(schema, place);
    const [first] = unheld;
    if (first !== undefined) throw refused(first.place, first.reason);
    if (partsOf(made) > maxParts) throw refused(place, `it has more than ${maxParts} parts: schemas, names and values`);
    const control = controlIn(made);
    if (control !== undefined) throw refused(place, `a text in it has the control character ${control}. Leave it out`);
    if (isTooAmbiguous(made))
        throw refused(
            place,
            "the beginnings of too many alternatives are alike. Begin each by a property with a const of its own"
        );
    return made;
}

/** Keys and values of a schema. llama.cpp takes seconds for the grammar of more. */
const maxParts = 10_000;

function partsOf(value: unknown): number {
    if (typeof value !== "object" || value === null) return 1;
    return Object.values(value).reduce((sum: number, one) => sum + partsOf(one), 1);
}

/**
 * Control and format characters, but for those that node-llama-cpp's grammars escape. llama.cpp writes what it refuses to stderr as it is, which may
 * be a terminal.
 */
const controls = /(?![\t\n\r])[\p{Cc}\p{Cf}]/u;

/** `U+202E` */
function controlIn(value: unknown): string | undefined {
    if (typeof value === "string") {
        const code = controls.exec(value)?.[0].codePointAt(0);
        return code === undefined ? undefined : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
    }
    if (typeof value !== "object" || value === null) return undefined;
    for (const part of Object.entries(value).flat()) {
        const found = controlIn(part);
        if (found !== undefined) return found;
    }
    return undefined;
}

/** A function without parameters has no grammar for them. */
function isEmpty({type = "object", properties, ...others}: Record<string, unknown>): boolean {
    const isOther = ["$ref", "oneOf", "anyOf", "enum", "const"].some((keyword) => others[keyword] !== undefined);
    return type === "object" && !isOther && Object.keys(properties ?? {}).length === 0;
}

/** node-llama-cpp leaves it to the model whether it calls, so that a call which must come is asked for by a grammar. */
async function forcedCall(
    engine: Engine,
    form: Form,
    functions: ChatModelFunctions,
    only: string | undefined
): Promise<Form> {
    const names = Object.keys(functions).filter((name) => only === undefined || name === only);
    if (names.length === 0) throw refused("tool_choice.function.name", "no tool has this name");
    const calls = names.map((name) => ({
        type: "object",
        properties: {name: {const: name}, arguments: functions[name]?.params ?? {type: "object", properties: {}}}
    }));
    const grammar = await grammarOf(engine, {oneOf: calls} as GbnfJsonSchema, "tools");
    const documented = engine.wrapper.addAvailableFunctionsSystemMessageToHistory(form.history, functions, {
        documentParams: true
    });
    const instruction = 'Answer with one call and nothing else, as JSON: {"name": …, "arguments": {…}}';
    const at = documented.findLastIndex(({type}) => type === "system") + 1;
    const history = documented.toSpliced(at, 0, {type: "system", text: instruction});
    return {...form, history, grammar, isCall: true};
}

async function grammarOf({model}: Engine, schema: GbnfJsonSchema, place: string): Promise<LlamaGrammar> {
    try {
        return await model.llama.createGrammarForJsonSchema(schema as never);
    } catch (error) {
        throw new ApiError(400, `${place}: no grammar can be made of it: ${reasonOf(error)}`, {
            param: place,
            code: "unsupported_value"
        });
    }
}
