/**
 * Makes the pictures in docs: page.png and page-phone.png, looks at the page of `mara serve`, and evaluation.png and tokens.png, looks at
 * the page of an evaluation in the demo world: `npx tsx docs/make-screenshots.ts [RUN_FOLDER]`, after `npm run build`, with Chromium as
 * test/support/browser.ts finds it. A folder is kept, and what is in it is not done again.
 */
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {demoAgentPath, demoModelPath, demoThreads} from "../lib/demo/files.js";
import {type GuestPrompt, heldOutPrompts, score} from "../lib/demo/world.js";
import {evaluate} from "../lib/evaluate/evaluate.js";
import {withBrowser} from "../test/support/browser.js";
import {pageScreenshots} from "./page-screenshots.js";

const docs = fileURLToPath(new URL(".", import.meta.url));
const requests = heldOutPrompts(24, 5);
const byText = new Map(requests.map((request) => [request.text, request]));
const [given] = process.argv.slice(2);
const runDirectory = given ?? mkdtempSync(join(tmpdir(), "mara-screenshots-"));

function courtesy(prompt: string, response: string): number {
    return score(byText.get(prompt) as GuestPrompt, response).value;
}

await pageScreenshots(docs);
await evaluate({
    model: demoModelPath,
    agent: demoAgentPath,
    prompts: requests.map(({text}) => ({prompt: text})),
    rewards: [courtesy, "readability"],
    against: ["raw", "bon:3"],
    thresholds: [0.1, 0.3, 0.5, 0.7, 0.9],
    maxTokens: 80,
    threads: demoThreads,
    runDirectory
});
await withBrowser(async (open) => {
    const {page} = await open(join(runDirectory, "report.html"), {width: 1100, height: 1010});
    await page.screenshot({path: join(docs, "evaluation.png")});
    await page.setViewportSize({width: 1100, height: 560});
    await page.selectOption("#sort", "gain");
    for (const row of (await page.locator("details.prompt").all()).slice(0, 2)) await row.locator("summary").click();
    await page.locator("h2", {hasText: "Prompt by prompt"}).evaluate((heading) => heading.scrollIntoView());
    await page.locator(".answer .k2, .answer .k5").first().hover();
    await page.screenshot({path: join(docs, "tokens.png")});
});
if (given === undefined) rmSync(runDirectory, {recursive: true});
