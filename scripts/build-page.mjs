// Builds the server's page into dist/server/page, after tsc: three files that need nothing else.
import {copyFileSync, mkdirSync, readFileSync, writeFileSync} from "node:fs";
import path from "node:path";
import {fileURLToPath, pathToFileURL} from "node:url";
import {build} from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const from = (file) => path.join(root, "page", file);
const to = (file) => path.join(root, "dist", "server", "page", file);
const built = (file) => import(pathToFileURL(path.join(root, "dist", "report", file)).href);

mkdirSync(to(""), {recursive: true});
await build({
    entryPoints: [from("main.tsx")],
    outfile: to("page.js"),
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning"
});
copyFileSync(from("index.html"), to("index.html"));
const [{baseStyle}, {tokenStyle}] = await Promise.all([built("style.js"), built("token-script.js")]);
writeFileSync(to("page.css"), baseStyle + tokenStyle + readFileSync(from("style.css"), "utf8"));
