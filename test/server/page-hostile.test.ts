/** Names and texts that a model, an agent file or a person could hold against the page at `/`: all of it is shown as text. */
import type {Page} from "playwright-core";
import {expect, it} from "vitest";
import {describeWithBrowser} from "../support/browser.js";
import {answerOf, ask, chunk, done, isBuilt, onScripted, token, untilAnswered} from "./scripted.js";

const markup =
    "<img src=x onerror='window.broken=1'><script>window.broken=1</script><svg onload=window.broken=1></svg>";
const escapes = "\u001b[31mred\u001b[0m\u001b]0;title\u0007";
const bidi = "\u202egnihton\u202c\u2066\u2069\u200f";
const nasty = `${markup}" onfocus="window.broken=1" &lt;b&gt; {{1+1}} javascript:alert(1) ${escapes} ${bidi}`;
/** As a tip shows it: what would be invisible stands there by its code. */
const shown = nasty
    .replaceAll(" ", "␣")
    .replaceAll("\u001b", "\\x1b")
    .replaceAll("\u0007", "\\x07")
    .replace(/[\u200f\u202c\u202e\u2066\u2069]/g, (one) => `\\u${one.charCodeAt(0).toString(16)}`);

describeWithBrowser("The page of mara serve under hostile texts", () => {
    it.skipIf(!isBuilt)("shows names, answers and candidates as text", async () => {
        await onScripted(
            {
                models: () => [nasty, `${nasty}:${nasty}`, `${nasty}:second`],
                answer: () => [chunk([token(nasty, `${nasty}!`), {text: nasty, decisions: []}]), done]
            },
            async ({page, complaints}) => {
                await expect.poll(() => page.locator(".lead").textContent()).toBe(`Model: ${nasty}`);
                const [agent] = await page.locator(".agent > label").allTextContents();
                expect(agent).toBe(` ${nasty}`);
                await page.getByRole("checkbox").last().check();
                await ask(page, nasty);
                await untilAnswered(page);
                expect(await page.locator(".question").textContent()).toBe(nasty);
                for (const side of ["raw", "aligned"]) {
                    expect(await answerOf(page, side).textContent()).toBe(nasty + nasty);
                    await answerOf(page, side).locator(".tok").focus();
                    const candidates = await page.locator("#tip code").allTextContents();
                    expect(candidates).toEqual([`${shown}!`, shown]);
                    await expectNothingRan(page, complaints);
                }
            }
        );
    });

    it.skipIf(!isBuilt)("shows what the server says of failures as text", async () => {
        const failed = JSON.stringify({error: {message: nasty}});
        let isRefused = true;
        const answer = (): string[] => [`data: ${failed}\n\n`];
        const models = () =>
            isRefused ? new Response(failed, {status: 500, headers: {"content-type": "application/json"}}) : ["demo"];
        await onScripted({models, answer}, async ({page, complaints}) => {
            await expect.poll(() => page.getByRole("alert").textContent()).toBe(nasty);
            isRefused = false;
            await ask(page, "x");
            await untilAnswered(page);
            expect(await page.locator("section .error").textContent()).toBe(nasty);
            // Chromium tells of every status from 400.
            const refused =
                "Failed to load resource: the server responded with a status of 500 (Internal Server Error)";
            expect(complaints.splice(0)).toEqual([refused]);
            await expectNothingRan(page, complaints);
        });
    });
});

async function expectNothingRan(page: Page, complaints: string[]): Promise<void> {
    expect(await page.locator("main :is(img, script, svg, b, a), body > :not(main)").count()).toBe(0);
    expect(await page.evaluate("window.broken")).toBeUndefined();
    expect(await page.title()).toBe("mara: raw beside aligned");
    expect(complaints).toEqual([]);
}
