/** The page at `/` in windows of many sizes: nothing hides behind its bars, and nothing makes it scroll sideways. */
import {expect, it} from "vitest";
import {describeWithBrowser} from "../support/browser.js";
import {answerOf, ask, chunk, done, isBuilt, onScripted, token, untilAnswered} from "./scripted.js";

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

/** Of a window with a long answer: how many pixels of its height the bars leave. */
const room = `Math.min(innerHeight, document.querySelector(".ask").getBoundingClientRect().top) - Math.max(0, document.querySelector(".controls").getBoundingClientRect().bottom)`;

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
});
