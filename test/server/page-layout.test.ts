/** The page at `/` in windows of many sizes: nothing hides behind its bars, and nothing makes it scroll sideways. */
import {writeFileSync} from "node:fs";
import {join} from "node:path";
import type {Page} from "playwright-core";
import {expect, it} from "vitest";
import {chatPage} from "../../lib/report/chat-page.js";
import type {SeenCandidate} from "../../lib/report/token-view.js";
import type {CandidateTrace, TokenTrace} from "../../lib/server/trace.js";
import {temporaryFolder} from "../cli/helpers.js";
import {describeWithBrowser, withBrowser} from "../support/browser.js";
import {answerOf, ask, chunk, done, isBuilt, onScripted, token, untilAnswered} from "./scripted.js";

const folder = temporaryFolder();

const words = "Breakfast is served from seven to ten in the room behind the stairs, with bread of the house. ".split(
    /(?<= )/
);
const long = Array.from({length: 900}, (_, i) => token(words[i % words.length] as string));

/** Steps through the answer with the key, and counts the tokens that a bar or the window's edge hides. */
const stepThrough = `(async (key) => {
    const top = () => Math.max(0, document.querySelector(".controls").getBoundingClientRect().bottom);
    let steps = 0;
    let hidden = 0;
    for (let at = document.activeElement; ; steps++) {
        at.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
        if (document.activeElement === at) return {steps, hidden};
        at = document.activeElement;
        const bottom = document.querySelector(".ask").getBoundingClientRect().top;
        const isSeen = (box) => {
            const middle = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return box.top >= top() && box.bottom <= Math.min(bottom, innerHeight) && at.contains(middle);
        };
        if (![...at.getClientRects()].every(isSeen)) hidden++;
    }
})`;

/** Pixels of the window's height between the bars. */
const room = `Math.min(innerHeight, document.querySelector(".ask").getBoundingClientRect().top) - Math.max(0, document.querySelector(".controls").getBoundingClientRect().bottom)`;

/** Tokens up to the edge of the window, with a long candidate and the longest verdicts. */
const unbroken = Array.from({length: 24}, (_, i): TokenTrace => {
    const {text, decisions} = token(`word ${i} `, "=".repeat(64));
    const byStudent = (one: CandidateTrace) => ({...one, by: "student" as const});
    return {
        text,
        decisions: decisions.map((one) => ({...one, fallback: true, candidates: one.candidates.map(byStudent)}))
    };
});

/** How many pixels a window lacks. */
async function widthBeyond(page: Page): Promise<number> {
    return await page.evaluate("Math.max(0, document.documentElement.scrollWidth - innerWidth)");
}

/** How many pixels the widest of the elements lacks. */
const widest = (elements: {scrollWidth: number; clientWidth: number}[]) =>
    Math.max(0, ...elements.map(({scrollWidth, clientWidth}) => scrollWidth - clientWidth));

describeWithBrowser("The layout of the page of mara serve", () => {
    it.skipIf(!isBuilt).each([
        {width: 1200, height: 900, least: 500},
        {width: 360, height: 640, least: 200},
        {width: 740, height: 360, least: 200},
        {width: 320, height: 256, least: 200}
    ])("keeps the token with the focus in sight: %o", async ({least, ...viewing}) => {
        const models = () => ["demo", "demo:house", "demo:brief", "demo:third"];
        await onScripted(
            {models, answer: () => [chunk(long), done]},
            async ({page, complaints}) => {
                await ask(page, "x");
                await untilAnswered(page);
                await answerOf(page, "raw").locator(".tok").first().focus();
                const steps = long.length - 1;
                expect(await page.evaluate(`${stepThrough}("ArrowRight")`)).toEqual({steps, hidden: 0});
                expect(await page.evaluate(`${stepThrough}("ArrowLeft")`)).toEqual({steps, hidden: 0});
                await page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 2)");
                expect(await page.evaluate(room)).toBeGreaterThanOrEqual(least);
                expect(complaints).toEqual([]);
            },
            viewing
        );
    });

    it.skipIf(!isBuilt).each([320, 360, 1200])("does not scroll sideways for a tip on %d pixels", async (width) => {
        await onScripted(
            {answer: () => [chunk(unbroken), done]},
            async ({page}) => {
                await ask(page, "x");
                await untilAnswered(page);
                for (const one of await answerOf(page, "aligned").locator(".tok").all()) {
                    await one.focus();
                    expect(await widthBeyond(page)).toBe(0);
                    expect(await page.getByRole("tooltip").textContent()).toContain("=".repeat(64));
                }
            },
            {width}
        );
    });

    it.each([320, 360, 1200])("does not scroll sideways in a saved conversation of %d pixels", async (width) => {
        const path = join(folder, "saved.html");
        const seen: SeenCandidate[] = [[0, "=".repeat(64), 0.5, 0.5, "student"]];
        const choices = [{rank: 0, fallback: true, candidates: 2, seen}];
        const pieces = unbroken.map(({text}) => ({text, thought: false, choices}));
        writeFileSync(path, chatPage([{question: "x", answers: [{side: "aligned", pieces}]}], "Model: demo"));
        await withBrowser(async (open) => {
            const {page, complaints} = await open(path, {width});
            for (const one of await page.locator(".tok").all()) {
                await one.focus();
                expect(await widthBeyond(page)).toBe(0);
                expect(await page.getByRole("tooltip").textContent()).toContain("=".repeat(64));
            }
            expect(complaints).toEqual([]);
        });
    });

    const longWord = "x".repeat(200);
    const name = `model_${"name_".repeat(12)}`;
    it.skipIf(!isBuilt).each([
        ["the model has a long name", {models: () => [name, `${name}:house`]}],
        ["an agent has a long name", {models: () => ["demo", `demo:${name}`, `demo:${name}2`]}],
        ["there are four agents", {models: () => ["demo", "demo:house", "demo:brief", "demo:third", "demo:fourth"]}],
        [
            "the list of models fails with a long word",
            {models: () => Response.json({error: {message: longWord}}, {status: 500})}
        ],
        ["an answer fails with a long word", {answer: () => [`data: {"error": {"message": "${longWord}"}}\n\n`]}]
    ])("does not scroll sideways where %s", async (_, script) => {
        // The controls stick in the higher of the windows, and there scroll by themselves.
        for (const size of [{width: 320}, {width: 320, height: 600}, {width: 360}])
            await onScripted(
                script,
                async ({page}) => {
                    await expect.poll(() => page.locator(".lead, .error").allTextContents()).not.toEqual(["", ""]);
                    for (const box of await page.getByRole("checkbox").all()) await box.check();
                    await ask(page, "x");
                    await untilAnswered(page);
                    expect(await widthBeyond(page)).toBe(0);
                    expect(await page.locator(".controls").evaluateAll(widest)).toBe(0);
                },
                size
            );
    });
});
