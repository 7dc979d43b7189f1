/** The server's routes. */
import {Hono, type MiddlewareHandler} from "hono";
import {cors} from "hono/cors";
import {ApiError, fullReason, toApiError} from "./api-error.js";
import {bodyRead} from "./body.js";
import {chatCompletions} from "./chat-endpoint.js";
import {completions} from "./completions-endpoint.js";
import {alreadyRead, isEmptied, requireHost, requireKey, requireUnread, safeHeaders} from "./guards.js";
import {openApi} from "./openapi.js";
import type {LogEntry} from "./options.js";
import {pageFile, pageFiles} from "./page-endpoint.js";
import {responses} from "./responses-endpoint.js";
import type {Service} from "./service.js";
import {changeSettings} from "./settings-endpoint.js";
import {detokenize, tokenize, tokenizerInfo} from "./tokens-endpoint.js";
import {tracePage} from "./trace-endpoint.js";

export function createApp(service: Service): Hono {
    const {engine, options, metrics} = service;
    const app = new Hono();
    app.use(observe(service));
    app.use(safeHeaders);
    if (options.hosts !== undefined) app.use(requireHost(options.hosts.map((host) => host.toLowerCase())));
    if (options.origins.length > 0)
        app.use(cors({origin: [...options.origins], allowHeaders: ["authorization", "content-type"], maxAge: 600}));
    if (options.apiKey !== undefined) {
        const key = requireKey(options.apiKey);
        for (const path of ["/v1/*", "/mara/*", "/metrics", "/tokenizer_info", "/tokenize", "/detokenize"])
            app.use(path, key);
    }

    app.use(requireUnread);

    app.get("/health", () =>
        Response.json({status: "ok", busy: engine.scheduler.busy, waiting: engine.scheduler.waiting})
    );
    app.get("/metrics", () => metrics.response());
    app.get("/v1/models", () =>
        Response.json({object: "list", data: engine.modelNames.map((id) => modelOf(service, id))})
    );
    app.get("/v1/models/:id{.+}", (c) => {
        const id = c.req.param("id");
        if (engine.modelNames.includes(id)) return Response.json(modelOf(service, id));
        throw new ApiError(404, `There is no model ${JSON.stringify(id.slice(0, 200))}`, {code: "model_not_found"});
    });
    app.post("/v1/chat/completions", (c) => chatCompletions(service, c.req.raw));
    app.post("/v1/completions", (c) => completions(service, c.req.raw));
    app.post("/v1/responses", (c) => responses(service, c.req.raw));
    app.get("/tokenizer_info", () => tokenizerInfo(engine));
    app.post("/tokenize", (c) => tokenize(service, c.req.raw));
    app.post("/detokenize", (c) => detokenize(service, c.req.raw));
    app.get("/openapi.json", () => Response.json(openApi(options.apiKey !== undefined, engine.modelNames)));
    app.post("/mara/trace", (c) => tracePage(service, c.req.raw));
    if (options.page) for (const [path, name] of pageFiles) app.get(path, () => pageFile(name));
    app.patch("/mara/generations/:id", (c) => changeSettings(service, c.req.raw, c.req.param("id")));

    for (const {path, method} of [...app.routes].filter(({method}) => method !== "ALL"))
        app.on(otherMethods(method), path, () => {
            throw new ApiError(405, `Use ${method} here`, {code: "method_not_allowed", headers: {allow: method}});
        });
    app.notFound(() => new ApiError(404, "There is nothing here", {code: "not_found"}).response);
    app.onError((error, c) => {
        const told = isEmptied(c.req.raw, error) ? alreadyRead() : toApiError(error);
        if (told.status >= 500 && !(error instanceof ApiError)) service.failed(error);
        c.set("reason" as never, told.message as never);
        return told.response;
    });
    return app;
}

/** Hono answers HEAD as GET. */
function otherMethods(method: string): string[] {
    return ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"].filter((other) => other !== method);
}

function modelOf({engine}: Service, id: string) {
    return {id, object: "model", created: engine.created, owned_by: "node-llama-mara"};
}

/** Counts and logs requests. */
function observe({options, metrics}: Service): MiddlewareHandler {
    return async (c, next) => {
        const start = performance.now();
        await next();
        const seconds = (performance.now() - start) / 1000;
        const {status} = c.res;
        const route = c.req.routePath === "/*" ? "other" : c.req.routePath;
        metrics.request(route, status, seconds);
        const entry: LogEntry = {
            level: status >= 500 ? "error" : status >= 400 ? "warn" : "info",
            message: "request",
            method: c.req.method,
            path: c.req.path.slice(0, 200),
            status,
            seconds: Math.round(seconds * 1e4) / 1e4
        };
        const reason = c.get("reason" as never) as string | undefined;
        if (reason !== undefined && options.logPrompts) entry.reason = reason;
        const body = bodyRead(c.req.raw);
        if (body !== undefined && options.logPrompts) entry.body = body;
        options.log?.(entry);
    };
}

/** A failure as a line of the log. */
export function failureEntry(error: unknown): LogEntry {
    return {level: "error", message: "failed", error: fullReason(error)};
}
