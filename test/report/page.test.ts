import {writeFileSync} from "node:fs";
import {join} from "node:path";
import {expect, it} from "vitest";
import {chartFigure, escapeHtml, htmlPage} from "../../lib/report/page.js";
import {temporaryFolder} from "../cli/helpers.js";
import {describeWithBrowser, withBrowser} from "../support/browser.js";

const folder = temporaryFolder();
/** Everything that has ever ended a script element, a string or an attribute too early. */
const nasty = `</script><script>window.broken = 1</script><!-- <b onclick="x">'"&amp; \u2028\u2029 \ud83d\ude00 \ufffd </style>`;

function write(name: string, html: string): string {
    const path = join(folder, name);
    writeFileSync(path, html);
    return path;
}

describeWithBrowser("A page", () => {
    it("shows text and data as they are, whatever is in them, and asks for nothing", async () => {
        const html = htmlPage({
            title: nasty,
            body: `<h1>${escapeHtml(nasty)}</h1><p title="${escapeHtml(nasty)}"></p>`,
            charts: [],
            data: {nasty},
            script: 'document.querySelector("p").textContent = pageData.nasty; // </script>'
        });
        await withBrowser(async (open) => {
            const {page, complaints} = await open(write("nasty.html", html));
            expect(await page.textContent("h1")).toBe(nasty);
            expect(await page.textContent("p")).toBe(nasty);
            expect(await page.getAttribute("p", "title")).toBe(nasty);
            expect(await page.title()).toContain("</script>");
            expect(await page.evaluate("window.broken")).toBeUndefined();
            expect(complaints).toEqual([]);
        });
    });

    it("cannot reach the network, even if it tries", async () => {
        const body = '<img src="https://example.com/a.png" alt="">';
        await withBrowser(async (open) => {
            const {complaints} = await open(write("fetch.html", htmlPage({title: "x", body, charts: []})));
            expect(complaints.join()).toMatch(/Content Security Policy/);
        });
    });

    it("draws charts in the colours of the theme", async () => {
        const data = {labels: ["a", "b"], datasets: [{label: "n", data: [1, 2], backgroundColor: "var(--series-1)"}]};
        const html = htmlPage({
            title: "charts",
            body: chartFigure("bars", {label: "Bars & more", caption: "Bars"}),
            charts: [{id: "bars", config: {type: "bar", data}}]
        });
        const path = write("charts.html", html);
        const color = 'Chart.getChart("bars").data.datasets[0].backgroundColor';
        await withBrowser(async (open) => {
            const {page, complaints} = await open(path);
            expect(await page.getAttribute("canvas", "aria-label")).toBe("Bars & more");
            expect(await page.evaluate(color)).toBe("#0b62a8");
            await page.emulateMedia({colorScheme: "dark"});
            await expect.poll(() => page.evaluate(color)).toBe("#6cb2f0");
            expect(complaints).toEqual([]);
        });
    });
});
