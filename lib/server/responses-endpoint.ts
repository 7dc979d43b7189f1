/** POST /v1/responses, without state. */
import {randomUUID} from "node:crypto";
import type {Answered} from "./answer.js";
import {ApiError} from "./api-error.js";
import {readBody} from "./body.js";
import {choiceOptions, prepareChat, runChats} from "./chat-run.js";
import {Choice} from "./choice.js";
import {eventStream} from "./event-stream.js";
import {chatRequestOf} from "./responses-request.js";
import {type ResponsesRequest, responsesSchema} from "./schemas/responses.js";
import {Lifetime, type Service} from "./service.js";
import {usageOf} from "./usage.js";

export async function responses(service: Service, request: Request): Promise<Response> {
    const body = await readBody(request, responsesSchema, service.options.maxBodyBytes);
    const {chat: chatBody, nameOf} = chatRequestOf(body);
    const prepared = await prepareChat(service, chatBody).catch((error) => {
        throw error instanceof ApiError ? error.renamed(nameOf) : error;
    });
    service.engine.scheduler.requireRoom(1);
    const life = new Lifetime(service, request, {prefix: "resp", alignment: prepared.alignment});
    const choice = new Choice(service.engine, {...choiceOptions(chatBody), isCall: prepared.isCall, index: 0});
    const run = async (add: (delta: Delta) => void): Promise<Answered> => {
        const choices = {prepared, choices: [choice], model: body.model};
        const [answered] = await runChats(service, life, choices, (_, delta) => {
            if (delta !== undefined) add(delta as Delta);
        });
        return answered as Answered;
    };
    if (body.stream !== true) {
        try {
            const output = new Output(() => {});
            const answered = await run((delta) => output.add(delta));
            output.end(endOf(answered));
            return Response.json(responseOf(life, body, output.items, answered, choice));
        } finally {
            life.end();
        }
    }
    return eventStream(
        async (send) => {
            let sequence = 0;
            const event = (type: string, data: object) => send({type, ...data, sequence_number: sequence++}, type);
            try {
                const begun = responseOf(life, body, [], undefined, choice);
                event("response.created", {response: begun});
                event("response.in_progress", {response: begun});
                const output = new Output(event);
                const answered = await run((delta) => output.add(delta));
                output.end(endOf(answered));
                const response = responseOf(life, body, output.items, answered, choice);
                event(`response.${response.status}`, {response});
            } finally {
                life.end();
            }
        },
        {keepAlive: service.options.keepAlive, onCancel: life.leave, onError: (error) => service.failed(error)}
    );
}

interface Delta {
    delta: {
        content?: string;
        tool_calls?: {index: number; id?: string; function: {name?: string; arguments: string}}[];
    };
}

interface Item {
    id: string;
    type: "message" | "function_call";
    status: "in_progress" | "completed" | "incomplete";
    [field: string]: unknown;
}

type Emit = (type: string, data: object) => void;

/** The response's items as the chat's chunks make them, each told as it begins, grows and ends. */
class Output {
    readonly items: Item[] = [];
    readonly #emit: Emit;
    #part: {type: "output_text"; text: string; annotations: unknown[]} | undefined;
    #call: number | undefined;

    constructor(emit: Emit) {
        this.#emit = emit;
    }

    add({delta}: Delta): void {
        if (delta.content !== undefined && delta.content !== "") this.#addText(delta.content);
        for (const call of delta.tool_calls ?? []) {
            if (call.index !== this.#call) {
                this.end();
                this.#call = call.index;
                const fields = {call_id: call.id, name: call.function.name, arguments: ""};
                this.#begin({id: newId("fc"), type: "function_call", status: "in_progress", ...fields});
            }
            const item = this.#last;
            item.arguments += call.function.arguments;
            const place = {item_id: item.id, output_index: this.items.length - 1};
            this.#emit("response.function_call_arguments.delta", {...place, delta: call.function.arguments});
        }
    }

    /** Ends the item at hand, if there is one. */
    end(status: "completed" | "incomplete" = "completed"): void {
        const item = this.items.at(-1);
        if (item === undefined || item.status !== "in_progress") return;
        const place = {item_id: item.id, output_index: this.items.length - 1};
        item.status = status;
        if (this.#part !== undefined) {
            const {text} = this.#part;
            this.#emit("response.output_text.done", {...place, content_index: 0, text, logprobs: []});
            this.#emit("response.content_part.done", {...place, content_index: 0, part: this.#part});
            this.#part = undefined;
        } else {
            const {arguments: given, name} = item;
            this.#emit("response.function_call_arguments.done", {...place, arguments: given, name});
        }
        this.#emit("response.output_item.done", {output_index: place.output_index, item: structuredClone(item)});
    }

    get #last(): Item {
        return this.items.at(-1) as Item;
    }

    #begin(item: Item): void {
        this.items.push(item);
        this.#emit("response.output_item.added", {output_index: this.items.length - 1, item: structuredClone(item)});
    }

    #addText(text: string): void {
        if (this.#part === undefined) {
            this.end();
            const content: unknown[] = [];
            this.#begin({id: newId("msg"), type: "message", status: "in_progress", role: "assistant", content});
            this.#part = {type: "output_text", text: "", annotations: []};
            const place = {item_id: this.#last.id, output_index: this.items.length - 1, content_index: 0};
            this.#emit("response.content_part.added", {...place, part: {...this.#part}});
            content.push(this.#part);
        }
        this.#part.text += text;
        const place = {item_id: this.#last.id, output_index: this.items.length - 1, content_index: 0};
        this.#emit("response.output_text.delta", {...place, delta: text, logprobs: []});
    }
}

function responseOf(
    life: Lifetime,
    body: ResponsesRequest,
    output: readonly Item[],
    answered: Answered | undefined,
    choice: Choice
) {
    const status = answered === undefined ? "in_progress" : endOf(answered);
    const usage = answered && usageOf([answered]);
    return {
        id: life.id,
        object: "response",
        created_at: life.created,
        status,
        error: null,
        incomplete_details: status === "incomplete" ? {reason: "max_output_tokens"} : null,
        instructions: body.instructions ?? null,
        max_output_tokens: body.max_output_tokens ?? null,
        model: body.model,
        output,
        parallel_tool_calls: body.parallel_tool_calls ?? true,
        previous_response_id: null,
        store: false,
        temperature: body.temperature ?? null,
        text: {format: body.text?.format ?? {type: "text"}},
        tool_choice: body.tool_choice ?? "auto",
        tools: body.tools ?? [],
        top_p: body.top_p ?? null,
        truncation: "disabled",
        usage: usage && {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: usage.prompt_tokens_details,
            output_tokens: usage.completion_tokens,
            output_tokens_details: {reasoning_tokens: 0},
            total_tokens: usage.total_tokens
        },
        metadata: {},
        ...(answered === undefined ? {} : {mara: (choice.whole(answered) as {mara: object}).mara})
    };
}

/** The status of a response, and of the item with which it ends. */
function endOf({reason}: Answered): "completed" | "incomplete" {
    return reason === "length" ? "incomplete" : "completed";
}

function newId(prefix: string): string {
    return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}
