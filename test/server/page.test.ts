/** The page at `/`, in a real browser. */
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {join} from "node:path";
import {expect, it} from "vitest";
import type {Server, ServerOptions} from "../../lib/server/index.js";
import {listen} from "../../lib/server/listen.js";
import {hasDemo, temporaryFolder} from "../cli/helpers.js";
import {describeWithBrowser, type OpenPage, withBrowser} from "../support/browser.js";
import {demoServer, longAnswer, question} from "./helpers.js";
import {answerOf, ask, isBuilt, untilAnswered} from "./scripted.js";

const asked = question[0]?.content as string;
const folder = temporaryFolder();
const patient = {timeout: 30_000, interval: 20};

async function onPage(
    use: (opened: OpenPage & {client: Awaited<ReturnType<typeof demoServer>>}) => Promise<void>,
    {
        options = {},
        held,
        touch = false,
        ...viewing
    }: {
        options?: Partial<ServerOptions>;
        held?: Held;
        touch?: boolean;
        colorScheme?: "light" | "dark";
        width?: number;
        height?: number;
    } = {}
): Promise<void> {
    const client = await demoServer(options);
    const server = held === undefined ? client.server : {...client.server, fetch: held.around(client.server)};
    const {url, stop} = await listen(server, {host: "127.0.0.1", port: 0, hasKey: true, isOpen: false});
    try {
        await withBrowser(async (open) => await use({...(await open(`${url}/`, viewing)), client}), {touch});
    } finally {
        await stop(0);
    }
}

/** Lets the first chunks of each answer through, and keeps the rest back. */
class Held {
    /** Answers that the browser has given up. */
    given = 0;
    readonly #chunks: number;

    constructor(chunks: number) {
        this.#chunks = chunks;
    }

    around({fetch}: Server): Server["fetch"] {
        return async (request) => {
            const response = await fetch(request);
            if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
            const reader = (response.body as ReadableStream<Uint8Array>).getReader();
            let chunks = 0;
            const body = new ReadableStream<Uint8Array>({
                pull: async (controller) => {
                    if (++chunks > this.#chunks) return await new Promise<void>(() => {});
                    const {value, done} = await reader.read();
                    if (done) controller.close();
                    else controller.enqueue(value);
                },
                cancel: async () => {
                    this.given++;
                    await reader.cancel();
                }
            });
            return new Response(body, response);
        };
    }
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

    it.skipIf(!hasDemo || !isBuilt)("aligns by the slider, and shows markup as text", async () => {
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
            await untilAnswered(page);
            expect(complaints).toEqual([]);
        });
    });

    it.skipIf(!hasDemo || !isBuilt)("shows text as it comes, and stops", async () => {
        const held = new Held(6);
        await onPage(
            async ({page, complaints, client}) => {
                const kind = await client.say({model: "demo:house", temperature: 0});
                await ask(page, asked);
                for (const side of ["raw", "aligned"])
                    await expect.poll(() => answerOf(page, side).textContent(), patient).not.toBe("");
                expect(await page.getByRole("button", {name: "Save as a file"}).isDisabled()).toBe(true);
                const stats = page.locator('section[data-side="aligned"] .stats');
                expect(await stats.textContent()).toMatch(/^\d+ tokens, \d\.\d\d decodes per token/);
                const before = (await answerOf(page, "aligned").textContent()) as string;
                await page.getByRole("button", {name: "Stop"}).click();
                await untilAnswered(page);
                const after = (await answerOf(page, "aligned").textContent()) as string;
                expect(after.startsWith(before)).toBe(true);
                expect(kind.startsWith(after)).toBe(true);
                expect(after.length).toBeLessThan(kind.length);
                const errors = await page.locator("section[data-side] .error").allTextContents();
                expect(errors).toEqual(["stopped", "stopped"]);
                await expect.poll(() => held.given, patient).toBe(2);
                await expect.poll(async () => (await client.health()).busy, patient).toBe(0);
                expect(complaints).toEqual([]);
            },
            {held}
        );
    });

    it.skipIf(!hasDemo || !isBuilt)("changes who decides about an answer that is on its way", async () => {
        const options = {parallel: 1, agents: {house: "demo", other: "demo"}};
        await onPage(
            async ({page, complaints, client}) => {
                const raw = await client.say({model: "demo", temperature: 0});
                // Both sides wait for this one.
                const first = await client.stream({model: "demo", ...longAnswer, n: 16});
                await first.next();
                await ask(page, asked);
                const stats = page.locator('section[data-side="aligned"] .stats');
                await expect.poll(() => stats.textContent(), patient).toBe("waiting");
                const changed = (change: () => Promise<void>) =>
                    Promise.all([page.waitForResponse((one) => one.request().method() === "PATCH"), change()]);
                const [joined] = await changed(() => page.getByLabel("other", {exact: true}).check());
                expect(joined.request().postDataJSON()).toEqual({
                    agents: [
                        {agent: "house", weight: 1},
                        {agent: "other", weight: 1}
                    ],
                    combine: "weighted"
                });
                await changed(() => page.getByLabel("Weight of house").press("ArrowRight"));
                const [slid] = await changed(() => page.getByLabel("Weight of other").press("Home"));
                expect(slid.request().postDataJSON().agents).toEqual([
                    {agent: "house", weight: 1.05},
                    {agent: "other", weight: 0}
                ]);
                const [last] = await changed(() => page.getByLabel("house", {exact: true}).uncheck());
                expect([last.status(), await last.json()]).toMatchObject([200, {sequences: 0}]);
                await first.cancel();
                await untilAnswered(page);
                expect(await answerOf(page, "aligned").textContent()).toBe(raw);
                expect(complaints).toEqual([]);
            },
            {options}
        );
    });

    it.skipIf(!hasDemo || !isBuilt)("tells decisions to a finger, within the screen of a phone", async () => {
        await onPage(
            async ({page}) => {
                await ask(page, asked);
                await untilAnswered(page);
                await answerOf(page, "aligned").locator(".tok").last().tap();
                const box = await page.getByRole("tooltip").boundingBox();
                const form = await page.locator(".ask").boundingBox();
                expect(box?.x).toBeGreaterThanOrEqual(0);
                expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(360);
                expect((box?.y ?? 0) + (box?.height ?? 0)).toBeLessThanOrEqual(form?.y ?? 0);
            },
            {touch: true, width: 360}
        );
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
            {options: {apiKey: "k"}}
        );
    });

    it.skipIf(!hasDemo || !isBuilt).each([
        {colorScheme: "light", width: 1200},
        {colorScheme: "dark", width: 1200},
        {colorScheme: "light", width: 360},
        {colorScheme: "dark", width: 360},
        {colorScheme: "light", width: 740, height: 360}
    ] as const)("has nothing that axe complains of: %o", async (viewing) => {
        const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
        const look = async ({page}: OpenPage) => {
            await page.getByLabel("other", {exact: true}).check();
            await ask(page, asked);
            await untilAnswered(page);
            await answerOf(page, "aligned").locator(".tok").first().focus();
            await page.evaluate(axe);
            const {violations} = (await page.evaluate("axe.run()")) as {
                violations: {id: string; nodes: {html: string}[]}[];
            };
            expect(violations.map(({id, nodes}) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
            expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
        };
        await onPage(look, {options: {agents: {house: "demo", other: "demo"}}, ...viewing});
    });
});
