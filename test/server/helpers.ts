import type {LlamaModel} from "node-llama-cpp";
import {afterAll, expect} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {createServer, type Server, type ServerOptions} from "../../lib/server/index.js";
import {testLlama} from "../support/models.js";

let loaded: Promise<LlamaModel> | undefined;

/** The demo's model, once per test file. */
export function demoModel(): Promise<LlamaModel> {
    loaded ??= testLlama().then((llama) => llama.loadModel({modelPath: demoModelPath}));
    return loaded;
}

/** A server of the demo's model and agent, `demo` and `demo:house`, closed after the tests. */
export async function demoServer(options: Partial<ServerOptions> = {}): Promise<Client> {
    const model = await demoModel();
    const server = await createServer({
        model,
        name: "demo",
        agents: {house: "demo"},
        parallel: 2,
        contextSize: 2048,
        threads: 1,
        ...options
    });
    afterAll(() => server.close(0));
    return new Client(server);
}

// biome-ignore lint/suspicious/noExplicitAny: what servers answer is looked at, not typed.
export type Json = any;

export class Client {
    readonly server: Server;

    constructor(server: Server) {
        this.server = server;
    }

    request(path: string, body?: unknown, init: RequestInit = {}): Promise<Response> {
        const url = `http://localhost${path}`;
        const headers = {"content-type": "application/json", ...init.headers};
        const given = {...(body === undefined ? {} : {method: "POST", body: JSON.stringify(body)}), ...init, headers};
        return this.server.fetch(new Request(url, given));
    }

    /** The answer, which must be one. */
    async ok(path: string, body?: unknown): Promise<Json> {
        const response = await this.request(path, body);
        const result = (await response.json()) as Json;
        expect(result.error ?? undefined).toBeUndefined();
        expect(response.status).toBe(200);
        return result;
    }

    /** The error of a request that must be refused. */
    async refused(path: string, body: unknown, init: RequestInit = {}): Promise<Json> {
        const response = await this.request(path, body, init);
        const {error} = (await response.json()) as Json;
        expect(Object.keys(error)).toEqual(["message", "type", "param", "code"]);
        return {status: response.status, ...error};
    }

    async chat(body: object): Promise<Json> {
        return await this.ok("/v1/chat/completions", {messages: question, ...body});
    }

    /** The text of a chat's only answer. */
    async say(body: object): Promise<string> {
        return (await this.chat(body)).choices[0].message.content;
    }

    async stream(body: object, path = "/v1/chat/completions"): Promise<Events> {
        const response = await this.request(path, {messages: question, stream: true, ...body});
        expect(response.status).toBe(200);
        expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
        return new Events(response);
    }

    async health(): Promise<Json> {
        return await this.ok("/health");
    }

    /** The value of a metric, labels included in its name as they are printed. */
    async metric(name: string): Promise<number> {
        const text = await (await this.request("/metrics")).text();
        const line = text.split("\n").find((one) => one.startsWith(`${name} `));
        return Number(line?.split(" ").at(-1) ?? 0);
    }
}

export const question = [{role: "user", content: "Where is the breakfast room?"}];

/** Makes answers of hundreds of tokens: no shorter text fits the schema. */
export const longAnswer = {
    temperature: 0,
    response_format: {
        type: "json_schema",
        json_schema: {
            name: "long",
            schema: {type: "array", minItems: 60, items: {type: "string", minLength: 40, maxLength: 60}}
        }
    }
};

/** Server-sent events, one at a time. */
export class Events implements AsyncIterable<Json> {
    /** `[DONE]` came. */
    done = false;
    comments = 0;
    readonly #reader: ReadableStreamDefaultReader<string>;
    #text = "";

    constructor({body}: Response) {
        this.#reader = (body as ReadableStream<Uint8Array>)
            .pipeThrough(new TextDecoderStream() as never)
            .getReader() as never;
    }

    async next(): Promise<Json | undefined> {
        for (;;) {
            const end = this.#text.indexOf("\n\n");
            if (end >= 0) {
                const event = this.#text.slice(0, end);
                this.#text = this.#text.slice(end + 2);
                if (event.startsWith(":")) this.comments++;
                else if (event === "data: [DONE]") this.done = true;
                else return JSON.parse(event.replace(/^(event: .*\n)?data: /, ""));
                continue;
            }
            const {value, done} = await this.#reader.read();
            if (done) return undefined;
            this.#text += value;
        }
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<Json> {
        for (let event = await this.next(); event !== undefined; event = await this.next()) yield event;
    }

    /** The rest. */
    async all(): Promise<Json[]> {
        const events: Json[] = [];
        for await (const event of this) events.push(event);
        return events;
    }

    /** Reads until some text of an answer has come. */
    async untilText(): Promise<void> {
        for await (const {choices} of this) if (choices[0]?.delta.content) return;
        throw new Error("The answer has no text");
    }

    async cancel(): Promise<void> {
        await this.#reader.cancel();
    }
}
