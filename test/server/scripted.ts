/** The real page and its policy over a server whose answers are a test's own: what no model would say on demand. */
import {existsSync} from "node:fs";
import {join} from "node:path";
import type {Page} from "playwright-core";
import {listen} from "../../lib/server/listen.js";
import {pageFile, pageFiles} from "../../lib/server/page-endpoint.js";
import type {CandidateTrace, TokenTrace} from "../../lib/server/trace.js";
import {root} from "../cli/helpers.js";
import {type OpenPage, type Viewing, withBrowser} from "../support/browser.js";
import type {Json} from "./helpers.js";

export const isBuilt = existsSync(join(root, "dist", "server", "page", "index.html"));

export interface Script {
    /** Names of `/v1/models`; or the failure that comes in their place. */
    models?: () => string[] | Response;
    /** Server-sent events of an answer to this request, as they come. */
    answer?: (asked: Json) => AsyncIterable<string> | Iterable<string>;
    /** Takes the settings of a PATCH. */
    change?: (id: string, settings: Json) => void;
}

/** Opens the page of such a server. */
export async function onScripted(
    script: Script,
    use: (opened: OpenPage) => Promise<void>,
    {touch = false, ...viewing}: Viewing & {touch?: boolean} = {}
): Promise<void> {
    const server = {
        fetch: async (request: Request) => await respond(script, request),
        models: [],
        close: async () => {}
    };
    const {url, stop} = await listen(server, {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false});
    try {
        await withBrowser(async (open) => await use(await open(`${url}/`, viewing)), {touch});
    } finally {
        await stop(0);
    }
}

async function respond(script: Script, request: Request): Promise<Response> {
    const {pathname} = new URL(request.url);
    const file = pageFiles.find(([path]) => path === pathname);
    if (file !== undefined) return pageFile(file[1]);
    if (pathname === "/v1/models") {
        const models = script.models?.() ?? ["demo", "demo:house"];
        return models instanceof Response ? models : Response.json({data: models.map((id) => ({id}))});
    }
    const body = (await request.json()) as Json;
    if (request.method === "PATCH") {
        script.change?.(pathname.slice("/mara/generations/".length), body);
        return Response.json({sequences: 1});
    }
    const events = script.answer?.(body) ?? [done];
    const stream = ReadableStream.from(events).pipeThrough(new TextEncoderStream());
    return new Response(stream as ReadableStream<Uint8Array>, {headers: {"content-type": "text/event-stream"}});
}

export const done = "data: [DONE]\n\n";

export function chunk(tokens: readonly TokenTrace[], id = "chatcmpl-1"): string {
    const progress = {tokens: tokens.length, decodes: tokens.length, seconds: 1};
    return `data: ${JSON.stringify({id, choices: [{mara: {tokens, progress}}]})}\n\n`;
}

/** A token that was the second choice, after what was rejected. */
export function token(text: string, rejected = "no"): TokenTrace {
    const candidates = [rejected, text].map(
        (one, rank): CandidateTrace => ({
            rank,
            token: rank,
            text: one,
            probability: 0.5,
            accept: 0.5,
            by: "agent",
            rejected: rank === 0
        })
    );
    return {text, decisions: [{rank: 1, fallback: false, by: "agent", waves: 1, count: 2, candidates}]};
}

export const answerOf = (page: Page, side: string) => page.locator(`section[data-side="${side}"] .answer`).last();

export async function ask(page: Page, text: string): Promise<void> {
    await page.getByLabel("Your message").fill(text);
    await page.getByRole("button", {name: "Send"}).click();
}

export async function untilAnswered(page: Page): Promise<void> {
    await page.getByRole("button", {name: "Send"}).waitFor();
}
