/** GET /: the page, as `npm run build:ts` has built it. */
import {readFileSync} from "node:fs";
import {ApiError} from "./api-error.js";

/** From lib/server as from dist/server. */
const folder = new URL("../../dist/server/page/", import.meta.url);

const types = {"index.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"} as const;
type FileName = keyof typeof types;

export const pageFiles: readonly [path: string, name: FileName][] = [
    ["/", "index.html"],
    ["/page.js", "page.js"],
    ["/page.css", "page.css"]
];

/** The page can reach its own server and nothing else, and runs no script but its own file. */
const policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** @throws ApiError 404 where the files are missing, as in a bundle */
export function pageFile(name: FileName): Response {
    let text: string;
    try {
        text = readFileSync(new URL(name, folder), "utf8");
    } catch {
        throw new ApiError(404, "The page is not part of this build. In a checkout: npm run build:ts", {
            code: "no_page"
        });
    }
    return new Response(text, {
        headers: {
            "content-type": `${types[name]}; charset=utf-8`,
            "content-security-policy": policy,
            "cache-control": "no-cache"
        }
    });
}
