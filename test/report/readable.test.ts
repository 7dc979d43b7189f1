/** The reports on screens of several widths, with a mouse and with a finger. */
import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import type {Page} from "playwright-core";
import {beforeAll, describe, expect, it} from "vitest";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import {heldOutPrompts} from "../../lib/demo/world.js";
import {differenceBins} from "../../lib/evaluate/report-charts.js";
import {evaluate, trainAgent} from "../../lib/index.js";
import {root, temporaryFolder} from "../cli/helpers.js";
import {describeWithBrowser, withBrowser} from "../support/browser.js";

const folder = temporaryFolder();
/** The folder in which pictures of the pages are kept. */
const screenshots = join(root, "build", "screenshots");
const prompts = heldOutPrompts(8, 3).map(({text}) => ({prompt: text}));
const long = {prompt: `Tell me ${"everything about the guesthouse and ".repeat(12)} the sauna.`};
const evaluation = join(folder, "evaluation.html");
const training = join(folder, "run", "report.html");

describe("The bars of differences", () => {
    it("hold ties alone at zero, and have round ends", () => {
        const {labels, counts, zero} = differenceBins([0, 0.01, -0.01, 0.57, -0.3, 0.6000000000000001], 0);
        expect(labels[zero]).toBe("0");
        expect(counts[zero]).toBe(1);
        expect(labels).toEqual(["−0.3", "−0.2", "−0.1", "0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]);
        expect(counts).toEqual([1, 0, 1, 1, 1, 0, 0, 0, 0, 2]);
        const margin = differenceBins([0.2, -0.2, 3], 0.2);
        expect([margin.counts[margin.zero], margin.counts.at(-1), margin.labels.at(-1)]).toEqual([2, 1, "3"]);
        expect(differenceBins([], 0)).toEqual({labels: ["−1", "0", "1"], counts: [0, 0, 0], zero: 1});
    });
});

describeWithBrowser("Reports", () => {
    beforeAll(async () => {
        mkdirSync(screenshots, {recursive: true});
        const shared = {model: demoModelPath, threads: 1};
        const {report} = await evaluate({
            ...shared,
            agent: demoAgentPath,
            prompts: [...prompts, long],
            rewards: ["sentiment", "readability"],
            maxTokens: 40
        });
        writeFileSync(evaluation, report);
        await trainAgent({
            ...shared,
            prompts: [long, ...prompts],
            reward: "length",
            method: "preference",
            preset: "small",
            epochs: 3,
            pairsFromModel: 2,
            maxTokens: 24,
            runDirectory: join(folder, "run")
        });
    });

    const overflow = (page: Page) => page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");

    it.each([390, 800, 1440])("fit %i columns, in light and dark", async (width) => {
        await withBrowser(async (open) => {
            for (const [name, path] of Object.entries({evaluation, training}))
                for (const colorScheme of ["light", "dark"] as const) {
                    const {page, complaints} = await open(path, {width, colorScheme});
                    expect(await overflow(page)).toBeLessThanOrEqual(0);
                    expect(complaints).toEqual([]);
                    await page.screenshot({
                        path: join(screenshots, `${name}-${width}-${colorScheme}.png`),
                        fullPage: true
                    });
                    await page.close();
                }
        });
    });

    it("says what was trained, and shows responses as text that wraps, and whole epochs", async () => {
        await withBrowser(async (open) => {
            const {page} = await open(training, {width: 1440});
            const text = (await page.textContent("main")) ?? "";
            expect(text).toContain(
                "An agent for model.gguf was trained from preference pairs on 9 prompts, by the reward length."
            );
            expect(text).toMatch(/Of \d held-out pairs? the agent tells \d apart/);
            expect(text).toMatch(/epoch \d of 3, which has the least held-out loss/);
            expect(text).toMatch(/mara eval -m demo -a \S+ --prompts demo --reward/);
            const ticks = await page.evaluate<number[]>(
                'Chart.getChart("losses").scales.x.ticks.map(({value}) => value)'
            );
            expect(ticks).toEqual([1, 2, 3]);
            const look = `["text-align", "white-space"].map((name) =>
                getComputedStyle(document.querySelectorAll("table.texts tbody td")[1]).getPropertyValue(name))`;
            expect(await page.evaluate(look)).toEqual(["left", "pre-wrap"]);
        });
    });

    it("names the agent, and says in words how it did and what else changed", async () => {
        await withBrowser(async (open) => {
            const {page} = await open(evaluation, {width: 1440});
            expect(await page.textContent(".lead")).toMatch(/with agent agent\.safetensors \([0-9a-f]{8}\) at/);
            const [verdict, changes] = await page.locator(".headline").allTextContents();
            expect(verdict).toMatch(/^(The aligned answers are|Chance alone).*win against raw on \d+ of 9 prompts/);
            expect(changes).toMatch(/^What else changed: [\d.]+ against [\d.]+ words; .*perplexity/);
            expect(await page.locator(".scroll-hint").first().isVisible()).toBe(false);
        });
    });

    it("says on a phone that tables scroll, and to tap", async () => {
        await withBrowser(
            async (open) => {
                const {page} = await open(evaluation, {width: 390});
                expect(await page.locator(".scroll-hint").first().isVisible()).toBe(true);
                expect(await page.locator(".legend").innerText()).toMatch(/Tap a token/);
                expect(await page.locator(".legend").innerText()).not.toMatch(/Point at/);
                await page.locator(".answer .tok").first().tap();
                expect(await page.locator("#tip").isVisible()).toBe(true);
            },
            {touch: true}
        );
        await withBrowser(async (open) => {
            const {page} = await open(evaluation);
            expect(await page.locator(".legend").innerText()).toMatch(/Point at a token/);
        });
    });
});
