/** Reports as one HTML file that needs nothing else: no network, no other file. */
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {dirname, join} from "node:path";
import {chartScript} from "./chart-script.js";
import {baseStyle} from "./style.js";

export interface ChartSpec {
    /** The id of the `<canvas>` in the page's body. */
    id: string;
    /** chart.js's configuration, as plain JSON. Strings of the form `var(--series-1)` become the theme's colours. */
    config: {type: string; data: unknown; options?: unknown};
}

export interface PageOptions {
    title: string;
    /** HTML, with whatever is not ours escaped by `escapeHtml`. `chartFigure` makes the places for charts. */
    body: string;
    charts: readonly ChartSpec[];
    /** Embedded as JSON; `script` finds it as `pageData`. */
    data?: unknown;
    /** CSS after the page's own. */
    style?: string;
    /** Runs last, as a function of its own. */
    script?: string;
}

/** A complete page: typography, light and dark colours, print, and chart.js where there are charts. */
export function htmlPage({title, body, charts, data, style = "", script = ""}: PageOptions): string {
    const scripts =
        charts.length > 0 ? [chartLibrary(), `(${chartScript})(${embeddedJson(charts)});`] : ([] as string[]);
    if (body.includes('class="scroll"')) scripts.push(scrollScript);
    if (script !== "") scripts.push(`(() => {\n${pageData}${script}\n})();`);
    return [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        // The page can fetch nothing and send nothing, whatever texts it shows.
        `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">`,
        `<title>${escapeHtml(title)}</title>`,
        `<style>${baseStyle}${style}</style>`,
        "</head>",
        "<body>",
        `<main>\n${body}\n</main>`,
        `<script type="application/json" id="page-data">${embeddedJson(data ?? null)}</script>`,
        ...scripts.map((code) => `<script>${embeddedScript(code)}</script>`),
        "</body>",
        "</html>",
        ""
    ].join("\n");
}

const pageData = 'const pageData = JSON.parse(document.getElementById("page-data").textContent);\n';

/** HTML: a table or another wide thing, which scrolls sideways where the screen is too narrow for it, and says so then. */
export function scrollable(html: string): string {
    return `<div class="scroll">${html}</div><p class="scroll-hint" aria-hidden="true">There is more to the right: scroll sideways →</p>`;
}

/** Marks what does not fit, and lets the keyboard reach it. */
const scrollScript = `{
    const boxes = [...document.querySelectorAll(".scroll")];
    const look = () => {
        for (const box of boxes) {
            const isCut = box.scrollWidth > box.clientWidth + 1;
            box.classList.toggle("is-cut", isCut);
            if (isCut) box.tabIndex = 0; else box.removeAttribute("tabindex");
        }
    };
    look();
    addEventListener("resize", look);
}`;

/** A chart's place in a body. `label` describes it to readers who cannot see it; `caption` is HTML. */
export function chartFigure(
    id: string,
    {label, caption, wide = false}: {label: string; caption: string; wide?: boolean}
): string {
    return (
        `<figure class="chart${wide ? " wide" : ""}"><div class="canvas"><canvas id="${escapeHtml(id)}" role="img" ` +
        `aria-label="${escapeHtml(label)}"></canvas></div><figcaption>${caption}</figcaption></figure>`
    );
}

/** For text and for attributes in double quotes. */
export function escapeHtml(text: string): string {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** JSON in which nothing can end the script element, and which is JavaScript too. */
function embeddedJson(value: unknown): string {
    return JSON.stringify(value)
        .replaceAll("<", "\\u003c")
        .replaceAll("\u2028", "\\u2028")
        .replaceAll("\u2029", "\\u2029");
}

function embeddedScript(code: string): string {
    return code.replace(/<(?=\/script|!--)/gi, "\\x3c");
}

let library: string | undefined;

/** chart.js's file for browsers, from where npm has put it. */
function chartLibrary(): string {
    if (library === undefined) {
        const main = createRequire(import.meta.url).resolve("chart.js");
        const code = readFileSync(join(dirname(main), "chart.umd.min.js"), "utf8");
        library = code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, "");
    }
    return library;
}
