/** Pages in a real headless Chromium. */
import {existsSync, mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {pathToFileURL} from "node:url";
import {type BrowserContext, chromium, type Page} from "playwright-core";
import {describe} from "vitest";

/** Debian's Chromium, which `.ci/run` installs; another one by MARA_CHROMIUM. */
export const chromiumPath = process.env.MARA_CHROMIUM ?? "/usr/bin/chromium";
const hasBrowser = existsSync(chromiumPath);

/** A `describe` whose tests need Chromium; skipped where there is none. */
export function describeWithBrowser(name: string, tests: () => void): void {
    describe.skipIf(!hasBrowser)(`${name} (needs Chromium at ${chromiumPath})`, tests);
}

export interface OpenPage {
    page: Page;
    /** Whatever the page complained of: console errors and warnings, exceptions, requests for anything but itself or its server. */
    complaints: string[];
}

export interface Viewing {
    colorScheme?: "light" | "dark";
    width?: number;
    height?: number;
}

/** Chromium with a profile of its own, for the time of `use`, as on a phone with `touch`. `open` takes a file, or a server's address that ends in a slash. */
export async function withBrowser<T>(
    use: (open: (path: string, viewing?: Viewing) => Promise<OpenPage>) => Promise<T>,
    {touch = false}: {touch?: boolean} = {}
): Promise<T> {
    const profile = mkdtempSync(join(tmpdir(), "mara-chromium-"));
    const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
    const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
    let browser: BrowserContext | undefined;
    try {
        browser = await chromium.launchPersistentContext(profile, {
            executablePath: chromiumPath,
            args: [...flags, ...quiet],
            hasTouch: touch,
            isMobile: touch
        });
        const context = browser;
        return await use((path, viewing) => openIn(context, path, viewing));
    } finally {
        await browser?.close();
        rmSync(profile, {recursive: true, force: true});
    }
}

async function openIn(
    browser: BrowserContext,
    path: string,
    {colorScheme = "light", width = 1200, height = 900}: Viewing = {}
): Promise<OpenPage> {
    const isServed = path.startsWith("http://");
    const url = isServed ? path : pathToFileURL(path).href;
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => {
        const isOwn = isServed ? request.url().startsWith(url) : request.url() === url;
        if (!isOwn && !/^(data|blob):/.test(request.url())) complaints.push(`request: ${request.url()}`);
    });
    await page.setViewportSize({width, height});
    await page.emulateMedia({colorScheme});
    await page.goto(url);
    return {page, complaints};
}
