import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {afterAll, beforeAll, expect, it} from "vitest";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import {type GuestPrompt, heldOutPrompts, score} from "../../lib/demo/world.js";
import {type Evaluation, evaluate} from "../../lib/evaluate/evaluate.js";
import {evaluationReport} from "../../lib/evaluate/report.js";
import type {Side} from "../../lib/evaluate/sides.js";
import {root, temporaryFolder} from "../cli/helpers.js";
import {describeWithBrowser, withBrowser} from "../support/browser.js";

const folder = temporaryFolder();
/** The folder in which pictures of the page are kept. */
const screenshots = join(root, "build", "screenshots");
const requests = heldOutPrompts(10, 21);
const byText = new Map(requests.map((request) => [request.text, request]));
const prompts = requests.map(({text}) => ({prompt: text}));
const nasty = `</script><script>window.broken=1</script><b onmouseover="x">&amp;'"\`</b> \u2028 👩‍🚀 \ufffd\n\n  end`;

let evaluation: Evaluation;
let path: string;

function courtesy(prompt: string, response: string): number {
    return score(byText.get(prompt) as GuestPrompt, response).value;
}

async function run(): Promise<void> {
    evaluation = await evaluate({
        model: demoModelPath,
        agent: demoAgentPath,
        prompts,
        rewards: [courtesy, "readability"],
        against: ["raw", "raw-sampled"],
        thresholds: [0.1, 0.5, 0.9],
        maxTokens: 96,
        threads: 1
    });
    path = join(folder, "report.html");
    writeFileSync(path, evaluation.report);
    mkdirSync(screenshots, {recursive: true});
}

/** The number that a text of the page shows, and by how much it may be off. */
function shown(text: string): {value: number; within: number} {
    const [, sign, digits = "", exponent = "0", unit] = /^([+−-]?)([\d.]+)(?:e([+-]\d+))?( %)?$/.exec(text) ?? [];
    const scale = 10 ** Number(exponent) / (unit === undefined ? 1 : 100);
    const decimals = digits.split(".")[1]?.length ?? 0;
    const value = Number(digits) * scale * (sign === "−" || sign === "-" ? -1 : 1);
    // Three significant digits, or one decimal of per cent.
    return {value, within: Math.max(0.5 * 10 ** -decimals * scale, Math.abs(value) * 5e-3) * 1.001};
}

describeWithBrowser("An evaluation's page", () => {
    beforeAll(run);
    afterAll(() => expect(evaluation.result.pairs).toHaveLength(4));

    it("opens without complaints, in light and dark, and shows the numbers of the JSON", async () => {
        await withBrowser(async (open) => {
            for (const colorScheme of ["light", "dark"] as const) {
                const {page, complaints} = await open(path, {colorScheme});
                await page.screenshot({path: join(screenshots, `evaluation-${colorScheme}.png`), fullPage: true});
                expect(complaints).toEqual([]);
                const cells = await page
                    .locator("[data-path]")
                    .evaluateAll((all) => all.map((cell) => [cell.getAttribute("data-path"), cell.textContent]));
                expect(cells.length).toBeGreaterThan(80);
                for (const [at, text] of cells as [string, string][]) {
                    const expected = at
                        .split(".")
                        .reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], evaluation.result);
                    if (expected === null) expect(text).toBe("–");
                    else if (typeof expected === "number") {
                        const {value, within} = shown(text);
                        const inPoints = /^pairs\.\d+\.difference\./.test(at) ? 100 : 1;
                        expect(Math.abs(value - inPoints * expected), `${at}: ${text}`).toBeLessThanOrEqual(
                            within + 1e-12
                        );
                    } else throw new Error(`${at} is not in the result`);
                }
                const bars = 'Chart.getChart("ranks").data.datasets[0].data';
                const {acceptedRanks = [], fallbacks} = evaluation.result.aligned.decisions ?? {};
                expect(await page.evaluate(bars)).toEqual([...acceptedRanks, fallbacks]);
                const dial = 'Chart.getChart("dial").data.datasets[2].data';
                expect(await page.evaluate(dial)).toEqual(
                    evaluation.result.dial.map(({pair}) => 100 * (pair.preferenceRate.value as number))
                );
            }
        });
    });

    it("shows what was decided about a token, under the pointer and by keyboard", async () => {
        await withBrowser(async (open) => {
            const {page, complaints} = await open(path);
            const trace = evaluation.sides[0]?.answers[0]?.trace ?? [];
            const decided = trace.filter(({choices}) => choices !== undefined);
            const at = decided.findIndex(({choices}) => choices?.some(({rank, fallback}) => rank > 0 && !fallback));
            const choice = decided[at]?.choices?.[0];
            const answer = page.locator("details.prompt").first().locator(".answer").first();
            expect(await answer.locator(".tok").count()).toBe(decided.length);
            const tip = page.locator("#tip");
            expect(await tip.isVisible()).toBe(false);

            const token = answer.locator(".tok").nth(at);
            await token.hover();
            expect(await tip.isVisible()).toBe(true);
            expect(await token.getAttribute("aria-describedby")).toBe("tip");
            const rows = await tip
                .locator("tbody tr")
                .evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent ?? "")));
            const visible = (text: string) => text.replace(/ /g, "␣").replace(/\n/g, "⏎");
            expect(rows.map(([text]) => text)).toEqual(choice?.seen.map(([, text]) => visible(text)));
            expect(rows.map((row) => row[3])).toEqual(
                choice?.seen.map(([rank]) => (rank === choice.rank ? "accepted" : "rejected"))
            );
            for (const [i, [, , probability, accept]] of (choice?.seen ?? []).entries()) {
                expect(shown(rows[i]?.[1] as string).value).toBeCloseTo(probability, 2);
                expect(shown(rows[i]?.[2] as string).value).toBeCloseTo(accept as number, 2);
            }
            await page.screenshot({path: join(screenshots, "evaluation-hover.png")});
            await page.mouse.move(1, 1);
            expect(await tip.isVisible()).toBe(false);

            await answer.locator(".tok").first().focus();
            expect(await tip.isVisible()).toBe(true);
            for (let i = 0; i < at; i++) await page.keyboard.press("ArrowRight");
            expect(await tip.locator("tbody tr").count()).toBe(choice?.seen.length);
            expect(await answer.locator('[tabindex="0"]').count()).toBe(1);
            await page.keyboard.press("Escape");
            expect(await tip.isVisible()).toBe(false);
            expect(complaints).toEqual([]);
        });
    });

    it("finds, filters and orders prompts", async () => {
        await withBrowser(async (open) => {
            const {page} = await open(path);
            const listed = () =>
                page
                    .locator("details.prompt")
                    .evaluateAll((all) => all.map((row) => Number(row.getAttribute("data-index"))));
            expect(await listed()).toEqual(prompts.map((_, i) => i));
            const [ours, , theirs] = evaluation.sides.map(({scores}) => scores[0] as number[]);
            const gains = (ours as number[]).map((value, i) => value - (theirs?.[i] as number));
            await page.selectOption("#other", {label: "aligned against raw-sampled"});
            await page.selectOption("#sort", "gain");
            expect((await listed()).map((index) => gains[index])).toEqual([...gains].sort((a, b) => b - a));
            await page.selectOption("#outcome", "0");
            expect(await listed()).toEqual(gains.flatMap((gain, i) => (gain === 0 ? [i] : [])));
            await page.selectOption("#outcome", "all");
            await page.fill("#query", prompts[4]?.prompt.slice(-18) as string);
            expect(await listed()).toContain(4);
            expect((await listed()).length).toBeLessThan(prompts.length);
            expect(await page.locator("#count").textContent()).toMatch(/^\d+ of 10 prompts$/);
        });
    });

    it("stays whole and quick with thousands of prompts, whatever is in them", async () => {
        const {result, sides} = evaluation;
        const many = Array.from({length: 3000}, (_, i) => ({prompt: `${i} ${nasty}`, system: nasty}));
        const grown = sides.map(
            (side): Side => ({
                ...side,
                name: side.name === "raw" ? nasty : side.name,
                answers: many.map((_, i) => {
                    const {trace = [], ...answer} = side.answers[i % 10] as Side["answers"][number];
                    const choices = trace.flatMap(({choices = []}) => choices);
                    const [first] = choices;
                    if (first === undefined) return {...answer, text: nasty};
                    const seen = first.seen.map(
                        ([rank, , ...rest]) => [rank, nasty, ...rest] as (typeof first.seen)[0]
                    );
                    return {...answer, text: nasty, trace: [{text: nasty, choices: [{...first, seen}]}]};
                }),
                scores: side.scores.map((each) => many.map((_, i) => each[i % 10] as number))
            })
        );
        const file = join(folder, "large.html");
        const config = {...result.config, prompts: many.length, rewards: [nasty, nasty]};
        writeFileSync(file, evaluationReport({...result, config}, grown, many));
        await withBrowser(async (open) => {
            const start = performance.now();
            const {page, complaints} = await open(file);
            expect(performance.now() - start).toBeLessThan(30_000);
            expect(await page.locator("details.prompt").count()).toBe(50);
            await page.click("#more");
            expect(await page.locator("details.prompt").count()).toBe(100);
            const last = page.locator("details.prompt").nth(99);
            await last.locator("summary").click();
            expect(await last.locator(".question").textContent()).toBe(`99 ${nasty}`);
            expect(await last.locator(".answer").nth(1).textContent()).toBe(nasty);
            const token = last.locator(".answer .tok");
            await token.first().hover();
            expect(await page.locator("#tip").textContent()).toContain("<b␣onmouseover=");
            expect(await page.evaluate("window.broken")).toBeUndefined();
            expect(complaints).toEqual([]);
        });
    });

    it("prints what is open, without its tools", async () => {
        await withBrowser(async (open) => {
            const {page, complaints} = await open(path, {colorScheme: "dark"});
            await page.emulateMedia({media: "print"});
            expect(await page.locator(".tools").isVisible()).toBe(false);
            expect(await page.locator("details.prompt").nth(0).isVisible()).toBe(true);
            expect(await page.locator("details.prompt").nth(5).isVisible()).toBe(false);
            expect(complaints).toEqual([]);
        });
    });
});
