/** What the page at `/` does with keys, settings and failures that come at an awkward moment. */
import {writeFileSync} from "node:fs";
import {join} from "node:path";
import {expect, it} from "vitest";
import {chatPage} from "../../lib/report/chat-page.js";
import type {SeenCandidate} from "../../lib/report/token-view.js";
import {temporaryFolder} from "../cli/helpers.js";
import {describeWithBrowser, withBrowser} from "../support/browser.js";
import type {Json} from "./helpers.js";
import {answerOf, ask, chunk, done, isBuilt, onScripted, token, untilAnswered} from "./scripted.js";

const folder = temporaryFolder();
const patient = {timeout: 30_000, interval: 20};

describeWithBrowser("The logic of the page of mara serve", () => {
    it.skipIf(!isBuilt)("does not send what an input method is still composing", async () => {
        const sent: Json[] = [];
        const answer = (asked: Json) => {
            sent.push(asked.messages);
            return [chunk([token("yes")]), done];
        };
        await onScripted({models: () => ["demo"], answer}, async ({page, complaints}) => {
            const field = page.getByLabel("Your message");
            await field.focus();
            const devtools = await page.context().newCDPSession(page);
            const enter = (windowsVirtualKeyCode: number) =>
                devtools.send("Input.dispatchKeyEvent", {type: "rawKeyDown", key: "Enter", windowsVirtualKeyCode});
            await devtools.send("Input.imeSetComposition", {text: "にほん", selectionStart: 3, selectionEnd: 3});
            await enter(13);
            await devtools.send("Input.insertText", {text: "日本"});
            // Safari's Enter that ends a composition is no longer within it, but marked as the input method's.
            await enter(229);
            expect(await page.locator("article").count()).toBe(0);
            expect(await field.inputValue()).toBe("日本");
            await page.keyboard.press("Enter");
            await untilAnswered(page);
            expect(sent).toEqual([[{role: "user", content: "日本"}]]);
            expect(complaints).toEqual([]);
        });
    });

    it.skipIf(!isBuilt)("keeps settings that change between Send and the first chunk", async () => {
        let begin = () => {};
        const begun = new Promise<void>((resolve) => (begin = resolve));
        const asked: Json[] = [];
        const changes: Json[] = [];
        async function* answer(request: Json) {
            asked.push(request.mara);
            await begun;
            const id = request.mara.agents === undefined ? "of-raw" : "of-aligned";
            yield chunk([], id);
            await expect.poll(() => changes.length, patient).toBe(1);
            yield chunk([token("yes")], id);
            yield done;
        }
        const change = (id: string, settings: Json) => changes.push({id, ...settings});
        await onScripted({answer, change: (...given) => void change(...given)}, async ({page, complaints}) => {
            await ask(page, "x");
            await expect.poll(() => asked.length, patient).toBe(2);
            await page.getByLabel("Threshold").fill("0.3");
            await page.getByLabel("Threshold").fill("0.25");
            begin();
            await untilAnswered(page);
            const agents = [{agent: "house", weight: 1}];
            expect(asked).toContainEqual({trace: true, agents, combine: "weighted"});
            expect(changes).toEqual([{id: "of-aligned", agents, combine: "weighted", threshold: 0.25}]);
            expect(complaints).toEqual([]);
        });
    });

    it.skipIf(!isBuilt)("tells that an answer was cut off", async () => {
        const answer = ({mara}: Json) => [chunk([token("yes")]), ...(mara.agents === undefined ? [done] : [])];
        await onScripted({answer}, async ({page, complaints}) => {
            await ask(page, "x");
            await untilAnswered(page);
            expect(await answerOf(page, "aligned").textContent()).toBe("yes");
            expect(await page.locator('section[data-side="raw"] .error').count()).toBe(0);
            const error = page.locator('section[data-side="aligned"] .error');
            expect(await error.textContent()).toBe("cut off: the connection ended before the answer did");
            expect(complaints).toEqual([]);
        });
    });

    it.skipIf(!isBuilt)("tells of one token at a time, and of none after Escape", async () => {
        const answer = ({mara}: Json) => {
            const side = mara.agents === undefined ? "raw" : "aligned";
            return [chunk([token(`${side}1 `), token(`${side}2`)]), done];
        };
        await onScripted({answer}, async ({page, complaints}) => {
            const told = async () => ({
                tips: await page.locator("#tip tr.yes code").allTextContents(),
                of: await page.locator("[aria-describedby=tip]").allTextContents()
            });
            const none = {tips: [], of: []};
            const away = () => page.mouse.move(0, 0);
            await ask(page, "x");
            await untilAnswered(page);
            const raw = answerOf(page, "raw").locator(".tok");
            const aligned = answerOf(page, "aligned").locator(".tok");
            await aligned.first().hover();
            expect(await told()).toEqual({tips: ["aligned1␣"], of: ["aligned1 "]});
            await page.keyboard.press("Escape");
            expect(await told()).toEqual(none);
            await away();
            await raw.first().focus();
            await aligned.last().hover();
            expect(await told()).toEqual({tips: ["aligned2"], of: ["aligned2"]});
            await away();
            expect(await told()).toEqual({tips: ["raw1␣"], of: ["raw1 "]});
            await raw.last().hover();
            expect(await told()).toEqual({tips: ["raw2"], of: ["raw2"]});
            await page.keyboard.press("Escape");
            expect(await told()).toEqual(none);
            await away();
            expect(await told()).toEqual(none);
            await page.keyboard.press("ArrowRight");
            expect(await told()).toEqual({tips: ["raw2"], of: ["raw2"]});
            await page.getByLabel("Your message").focus();
            expect(await told()).toEqual(none);
            await aligned.first().hover();
            await page.getByRole("button", {name: "New conversation"}).press("Enter");
            expect(await page.locator("article").count()).toBe(0);
            expect(await told()).toEqual(none);
            expect(complaints).toEqual([]);
        });
    });

    it("tells of the token with the focus again in a saved conversation, and of none after Escape", async () => {
        const path = join(folder, "saved.html");
        const pieces = ["one ", "two ", "three"].map((text) => {
            const seen: SeenCandidate[] = [[0, text, 0.5, 0.5]];
            return {text, thought: false, choices: [{rank: 0, fallback: false, candidates: 2, seen}]};
        });
        writeFileSync(path, chatPage([{question: "x", answers: [{side: "aligned", pieces}]}], "Model: demo"));
        await withBrowser(async (open) => {
            const {page, complaints} = await open(path);
            const told = () => page.locator("[aria-describedby=tip]").allTextContents();
            const tokens = page.locator(".tok");
            await tokens.first().focus();
            await tokens.last().hover();
            expect(await told()).toEqual(["three"]);
            await page.mouse.move(0, 0);
            expect(await told()).toEqual(["one "]);
            expect(await page.getByRole("tooltip").textContent()).toContain("one␣");
            await tokens.last().hover();
            await page.keyboard.press("Escape");
            await page.mouse.move(0, 0);
            expect(await told()).toEqual([]);
            expect(await page.getByRole("tooltip").count()).toBe(0);
            await page.keyboard.press("ArrowRight");
            expect(await told()).toEqual(["two "]);
            expect(complaints).toEqual([]);
        });
    });

    it.skipIf(!isBuilt)("asks for the models again on Send where that failed before", async () => {
        const sent: Json[] = [];
        const answer = ({model, mara}: Json) => {
            sent.push({model, agents: mara.agents});
            return [chunk([token("yes")]), done];
        };
        const failure = () => Response.json({error: {message: "not yet"}}, {status: 503});
        let failures = 2;
        const models = () => (failures-- > 0 ? failure() : ["demo", "demo:house"]);
        await onScripted({answer, models}, async ({page}) => {
            const alert = page.getByRole("alert");
            await expect.poll(() => alert.textContent(), patient).toBe("not yet");
            await ask(page, "x");
            await expect.poll(() => failures, patient).toBe(0);
            await untilAnswered(page);
            expect([sent, await page.getByLabel("Your message").inputValue()]).toEqual([[], "x"]);
            await page.getByLabel("Your message").press("Enter");
            await expect.poll(() => answerOf(page, "aligned").textContent(), patient).toBe("yes");
            expect(sent).toHaveLength(2);
            expect(sent).toContainEqual({model: "demo", agents: [{agent: "house", weight: 1}]});
            expect(await alert.textContent()).toBe("");
            await untilAnswered(page);
            // The server is gone.
            await page.route("**/v1/chat/completions", (route) => route.abort());
            await ask(page, "y");
            const errors = page.locator("article:last-child section .error");
            const gone = "The server could not be reached";
            await expect.poll(() => errors.allTextContents(), patient).toEqual([gone, gone]);
        });
    });
});
