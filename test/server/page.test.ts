/** The page at `/`, in a real browser. */
import {existsSync, readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {join} from "node:path";
import type {Page} from "playwright-core";
import {expect, it} from "vitest";
import {listen} from "../../lib/server/listen.js";
import {hasDemo, root, temporaryFolder} from "../cli/helpers.js";
import {describeWithBrowser, type OpenPage, withBrowser} from "../support/browser.js";
import {demoServer, question} from "./helpers.js";

const isBuilt = existsSync(join(root, "dist", "server", "page", "index.html"));
const asked = question[0]?.content as string;
const folder = temporaryFolder();

async function onPage(
    use: (opened: OpenPage & {client: Awaited<ReturnType<typeof demoServer>>}) => Promise<void>,
    {key, ...viewing}: {key?: string; colorScheme?: "light" | "dark"; width?: number} = {}
): Promise<void> {
    const client = await demoServer(key === undefined ? {} : {apiKey: key});
    const {url, stop} = await listen(client.server, {host: "127.0.0.1", port: 0, hasKey: true, isOpen: false});
    try {
        await withBrowser(async (open) => await use({...(await open(`${url}/`, viewing)), client}));
    } finally {
        await stop(0);
    }
}

const answerOf = (page: Page, side: string) => page.locator(`section[data-side="${side}"] .answer`).last();

async function ask(page: Page, text: string): Promise<void> {
    await page.getByLabel("Your message").fill(text);
    await page.getByRole("button", {name: "Send"}).click();
}

async function untilAnswered(page: Page): Promise<void> {
    await page.getByRole("button", {name: "Send"}).waitFor();
}

describeWithBrowser("The page of mara serve", () => {
    it.skipIf(!hasDemo || !isBuilt)(
        "streams both sides, tells decisions to pointer and keyboard, and saves the conversation",
        async () => {
            await onPage(async ({page, complaints, client}) => {
                const [raw, kind] = await Promise.all(
                    ["demo", "demo:house"].map((model) => client.say({model, temperature: 0}))
                );
                await page.getByLabel("Your message").pressSequentially(asked);
                await page.keyboard.press("Enter");
                await untilAnswered(page);
                expect(await answerOf(page, "raw").textContent()).toBe(raw);
                expect((await answerOf(page, "aligned").textContent())?.replace("■", "")).toBe(kind);
                const stats = await page.locator('section[data-side="aligned"] .stats').textContent();
                expect(stats).toMatch(/^\d+ tokens, \d\.\d\d decodes per token, \d+ tokens per second$/);
                const token = answerOf(page, "aligned").locator(".tok").first();
                await token.hover();
                expect(await page.getByRole("tooltip").textContent()).toMatch(/choice 2 of \d+ candidates.*rejected/);
                await page.mouse.move(0, 0);
                expect(await page.getByRole("tooltip").count()).toBe(0);
                await token.focus();
                const before = await page.getByRole("tooltip").textContent();
                await page.keyboard.press("ArrowRight");
                expect(await page.getByRole("tooltip").textContent()).not.toBe(before);
                await page.keyboard.press("Escape");
                expect(await page.getByRole("tooltip").count()).toBe(0);
                const saving = page.waitForEvent("download");
                await page.getByRole("button", {name: "Save as a file"}).click();
                const file = join(folder, "conversation.html");
                await (await saving).saveAs(file);
                expect(readFileSync(file, "utf8")).toContain("Conversation, token by token");
                await page.getByRole("button", {name: "New conversation"}).click();
                expect(await page.locator("article").count()).toBe(0);
                expect(complaints).toEqual([]);
            });
        }
    );

    it.skipIf(!hasDemo || !isBuilt)("aligns by the slider, shows markup as text, and is stopped", async () => {
        await onPage(async ({page, complaints, client}) => {
            const raw = await client.say({model: "demo", temperature: 0});
            const slider = page.getByLabel("Threshold");
            await slider.fill("0");
            expect(await page.locator("output").textContent()).toBe("0.00");
            await ask(page, asked);
            await untilAnswered(page);
            expect((await answerOf(page, "aligned").textContent())?.replace("■", "")).toBe(raw);
            const markup = "<img src=x onerror=alert(1)>";
            await ask(page, markup);
            expect(await page.locator("article h2").last().textContent()).toBe(markup);
            await page
                .getByRole("button", {name: "Stop"})
                .click({timeout: 5000})
                .catch(() => {});
            await untilAnswered(page);
            await expect.poll(async () => (await client.health()).busy, {interval: 5}).toBe(0);
            expect(complaints).toEqual([]);
        });
    });

    it.skipIf(!hasDemo || !isBuilt)("asks for the key, and shows what the server refuses", async () => {
        await onPage(
            async ({page}) => {
                await page.getByLabel("The server's key").fill("k");
                await page.getByRole("button", {name: "Use it"}).click();
                await page.getByLabel("Threshold").waitFor();
                await ask(page, "word ".repeat(3000));
                await untilAnswered(page);
                expect(await page.locator('section[data-side="raw"] .error').textContent()).toMatch(
                    /^The context holds/
                );
            },
            {key: "k"}
        );
    });

    it.skipIf(!hasDemo || !isBuilt).each([
        {colorScheme: "light", width: 1200},
        {colorScheme: "dark", width: 1200},
        {colorScheme: "light", width: 360}
    ] as const)("has nothing that axe complains of: %o", async (viewing) => {
        const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
        await onPage(async ({page}) => {
            await ask(page, asked);
            await untilAnswered(page);
            await page.evaluate(axe);
            const {violations} = (await page.evaluate("axe.run()")) as {
                violations: {id: string; nodes: {html: string}[]}[];
            };
            expect(violations.map(({id, nodes}) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
            expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
        }, viewing);
    });
});
