/** What a request must fulfil before anything is done for it. */
import {createHash, timingSafeEqual} from "node:crypto";
import type {MiddlewareHandler} from "hono";
import {ApiError} from "./api-error.js";
import {bodyRead} from "./body.js";

/** Refuses requests without the key. The time that it takes does not depend on where keys differ. */
export function requireKey(key: string): MiddlewareHandler {
    const digest = (text: string) => createHash("sha256").update(text).digest();
    const expected = digest(key);
    return async (c, next) => {
        const given = /^Bearer (.*)$/i.exec(c.req.header("authorization") ?? "")?.[1] ?? "";
        if (!timingSafeEqual(digest(given), expected))
            throw new ApiError(401, "The key is missing or wrong. Send it as: Authorization: Bearer KEY", {
                code: "invalid_api_key",
                headers: {"www-authenticate": "Bearer"}
            });
        await next();
    };
}

/** Refuses requests for other hosts, so that a page whose name was made to lead here (DNS rebinding) cannot use the server. */
export function requireHost(hosts: readonly string[]): MiddlewareHandler {
    return async (c, next) => {
        const host = (c.req.header("host") ?? "").replace(/:\d+$/, "").toLowerCase();
        if (!hosts.includes(host))
            throw new ApiError(403, `This server does not answer for the host ${JSON.stringify(host.slice(0, 100))}`, {
                code: "unknown_host"
            });
        await next();
    };
}

/** Headers that keep a browser from doing more with a response than showing it. */
export const safeHeaders: MiddlewareHandler = async (c, next) => {
    await next();
    c.res.headers.set("x-content-type-options", "nosniff");
    c.res.headers.set("referrer-policy", "no-referrer");
    c.res.headers.set("x-frame-options", "DENY");
    if (!c.res.headers.has("content-security-policy"))
        c.res.headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
};

/** Refuses a request whose body a program in front has taken: it is the program that is wrong, not the request. */
export const requireUnread: MiddlewareHandler = async (c, next) => {
    if (c.req.method !== "GET" && c.req.method !== "HEAD" && c.req.raw.bodyUsed) throw alreadyRead();
    await next();
};

/** A body parser of Express leaves a body that is empty, beside the length that it had. */
export function isEmptied(request: Request, error: Error): boolean {
    const isNoJson = error instanceof ApiError && error.details.code === "invalid_json";
    return isNoJson && bodyRead(request) === "" && Number(request.headers.get("content-length") ?? 0) > 0;
}

export function alreadyRead(): ApiError {
    return new ApiError(
        500,
        "The body was read before it came to this server. Mount it before body parsers such as express.json(), and give it the request itself.",
        {code: "body_already_read"}
    );
}
