/**
 * Makes docs/evaluation.png and docs/tokens.png, looks at the page of an evaluation in the demo world:
 * `npx tsx docs/make-screenshots.ts`, after `npm run build`, with Chromium as test/support/browser.ts finds it.
 */
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {demoAgentPath, demoModelPath, demoThreads} from "../lib/demo/files.js";
import {evaluate} from "../lib/evaluate/evaluate.js";
import {loadPrompts} from "../lib/prompts/prompts.js";
import {withBrowser} from "../test/support/browser.js";

const docs = fileURLToPath(new URL(".", import.meta.url));
const demo = join(docs, "..", "demo");
const runDirectory = mkdtempSync(join(tmpdir(), "mara-screenshots-"));
await evaluate({
    model: demoModelPath,
    agent: demoAgentPath,
    prompts: (await loadPrompts(join(demo, "prompts", "held-out.jsonl"))).slice(0, 100),
    rewards: ["world", "readability"],
    rewardOptions: {rewards: {world: `module:${join(demo, "reward.mjs")}`}},
    against: ["raw", "bon:4"],
    thresholds: [0.1, 0.3, 0.5, 0.7, 0.9, 0.99],
    maxTokens: 96,
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
rmSync(runDirectory, {recursive: true});
