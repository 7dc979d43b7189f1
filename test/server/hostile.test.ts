/** Texts and paths that are made to get more from the server than it gives. */
import {request} from "node:http";
import {describe, expect, it} from "vitest";
import {listen} from "../../lib/server/listen.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoServer} from "./helpers.js";

const hostile = "</script><script>alert(1)</script><!--<script><img src=x onerror=alert(1)>\"'`&\u2028\u2029";

describe.skipIf(!hasDemo)(`A saved conversation${needsDemo}`, () => {
    const saved = async (client: Client, text: string) => {
        const by = "agent";
        const candidate = {rank: 0, token: 1, text, probability: 1, accept: 1, by, rejected: false};
        const decision = {rank: 0, fallback: false, by, waves: 1, count: 1, candidates: [candidate]};
        const answers = [{side: text.slice(0, 100), tokens: [{text, decisions: [decision]}]}];
        const response = await client.request("/mara/trace", {description: text, turns: [{question: text, answers}]});
        expect(response.headers.get("content-disposition")).toMatch(/^attachment;/);
        expect(response.headers.get("content-security-policy")).toMatch(/^default-src 'none'/);
        return await response.text();
    };

    it("shows texts as texts", async () => {
        const client = await demoServer();
        const [page, harmless] = [await saved(client, hostile), await saved(client, "x")];
        const tags = (html: string) => html.match(/<[/!a-z-]+/gi);
        expect(tags(page)).toEqual(tags(harmless));
        const [, data] = /<script type="application\/json" id="page-data">(.*?)<\/script>/s.exec(page) ?? [];
        expect(data).not.toMatch(/[\u2028\u2029]/);
        expect(JSON.stringify(JSON.parse(data as string))).toContain(JSON.stringify(hostile));
    });
});

describe.skipIf(!hasDemo)(`A server with a key${needsDemo}`, () => {
    it("gives nothing without it, however the path is written", async () => {
        const client = await demoServer({apiKey: "right"});
        const {url, stop} = await listen(client.server, {host: "127.0.0.1", port: 0, hasKey: true, isOpen: false});
        const ask = (method: string, path: string) =>
            new Promise<{status: number; text: string}>((resolve, reject) => {
                const sent = request({port: new URL(url).port, host: "127.0.0.1", method, path}, (response) => {
                    let text = "";
                    response.setEncoding("utf8").on("data", (part: string) => {
                        text += part;
                    });
                    response.on("end", () => resolve({status: response.statusCode ?? 0, text}));
                });
                sent.on("error", reject).end();
            });
        const spellings = [
            ...["/v1/models", "//v1/models", "/V1/models", "/v1//models", "/v1/models/", "/v1/models.", "/./v1/models"],
            ...["/v1/../v1/models", "/health/../v1/models", "/v1%2Fmodels", "/%76%31/models", "/v1/models%2Fdemo"],
            ...["/v1/models/demo", "/v1/models?x=/health", "/v1/models#/health", "/v1/models;/health", "/v1\\models"],
            ...["/metrics", "/metrics/", "//metrics", "/%6detrics", "/METRICS", "/tokenizer_info", "/%74okenizer_info"],
            ...["/v1/models%00", "/v1/models%", "/health/../metrics", "/page.js/../metrics", `${url}/v1/models`]
        ];
        for (const path of spellings)
            for (const method of ["GET", "HEAD", "OPTIONS", "POST", "PATCH", "PROPFIND"]) {
                const {status, text} = await ask(method, path);
                expect([400, 401, 404, 405], `${method} ${path}: ${status}`).toContain(status);
                expect(text).not.toMatch(/demo|mara_|bos_string/);
            }
        await stop(0);
    });
});
