/** `createServer` within other programs. */
import {once} from "node:events";
import {createServer as createHttp, type RequestListener} from "node:http";
import type {AddressInfo} from "node:net";
import {getRequestListener} from "@hono/node-server";
import {Hono} from "hono";
import {afterEach, beforeAll, describe, expect, it} from "vitest";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoServer, Events, type Json, question} from "./helpers.js";

// It brings no types.
const {default: express} = await import("express" as string);
const endings: (() => unknown)[] = [];
afterEach(async () => {
    for (const end of endings.splice(0)) await end();
});

/** Its address on a port. */
async function listening(listener: RequestListener): Promise<string> {
    const http = createHttp(listener).listen(0, "127.0.0.1");
    endings.push(() => http.close());
    await once(http, "listening");
    return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

function post(url: string, more: object = {}): Request {
    const body = JSON.stringify({model: "demo", messages: question, temperature: 0, ...more});
    return new Request(url, {method: "POST", headers: {"content-type": "application/json"}, body});
}

describe.skipIf(!hasDemo)(`A mounted server${needsDemo}`, () => {
    let client: Client;
    let said: string;
    beforeAll(async () => {
        client = await demoServer();
        said = await client.say({model: "demo", temperature: 0});
    });

    /** It answers there, whole and as a stream. */
    async function expectAnswers(send: (request: Request) => Promise<Response>, url: string): Promise<void> {
        const whole = (await (await send(post(url))).json()) as Json;
        expect(whole.choices[0].message.content).toBe(said);
        const stream = new Events(await send(post(url, {stream: true})));
        const chunks = await stream.all();
        expect(chunks.map(({choices}) => choices[0].delta.content ?? "").join("")).toBe(said);
        expect(stream.done).toBe(true);
    }

    it("answers in Hono, below a prefix", async () => {
        const app = new Hono().mount("/llm", client.server.fetch);
        await expectAnswers(async (request) => await app.fetch(request), "http://localhost/llm/v1/chat/completions");
        const page = await app.request("/llm/");
        expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    });

    it("answers as a route handler that takes the prefix off, as in Next.js", async () => {
        const handler = (request: Request) => {
            const url = new URL(request.url);
            url.pathname = url.pathname.replace(/^\/llm/, "");
            return client.server.fetch(new Request(url, request));
        };
        await expectAnswers(handler, "http://localhost/llm/v1/chat/completions");
        const gone = new AbortController();
        const going = handler(new Request(post("http://localhost/llm/v1/chat/completions"), {signal: gone.signal}));
        gone.abort();
        expect((await going).status).toBe(503);
        expect((await handler(new Request("http://localhost/llm/v1/models"))).status).toBe(200);
    });

    it("answers in Express, before its body parsers", async () => {
        const app = express();
        const listener = getRequestListener(client.server.fetch);
        app.use("/llm", listener);
        app.use(express.json());
        app.use("/behind", listener);
        const url = await listening(app);
        await expectAnswers(fetch, `${url}/llm/v1/chat/completions`);
        const behind = await fetch(post(`${url}/behind/v1/chat/completions`));
        expect(behind.status).toBe(500);
        expect(((await behind.json()) as Json).error).toMatchObject({
            code: "body_already_read",
            message: expect.stringContaining("express.json()")
        });
    });

    it("says so where the request's body has been read", async () => {
        const request = post("http://localhost/v1/chat/completions");
        await request.text();
        const response = await client.server.fetch(request);
        expect(response.status).toBe(500);
        expect(((await response.json()) as Json).error.code).toBe("body_already_read");
    });
});
