/** Pictures of the page of `mara serve`, with the demo's model, and its agent under two names. */
import {join} from "node:path";
import {demoAgentPath, demoModelPath, demoName} from "../lib/demo/files.js";
import {createServer} from "../lib/server/index.js";
import {listen} from "../lib/server/listen.js";
import {type Viewing, withBrowser} from "../test/support/browser.js";

/** Makes page.png and page-phone.png in the folder. */
export async function pageScreenshots(folder: string): Promise<void> {
    const agents = {courtesy: demoAgentPath, second: demoAgentPath};
    const server = await createServer({model: demoModelPath, name: demoName, agents, contextSize: 2048, threads: 1});
    const {url, stop} = await listen(server, {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false});
    const look = async (file: string, viewing: Viewing, question: string) =>
        await withBrowser(
            async (open) => {
                const {page} = await open(`${url}/`, viewing);
                await page.getByLabel("second", {exact: true}).check();
                await page.getByLabel("Weight of second").fill("0.5");
                await page.getByLabel("Your message").fill(question);
                await page.getByRole("button", {name: "Send"}).click();
                await page.getByRole("button", {name: "Send"}).waitFor();
                const aligned = page.locator('section[data-side="aligned"] .answer');
                await aligned.locator(".k1, .k2, .k5").first().click();
                await page.screenshot({path: join(folder, file)});
            },
            {touch: (viewing.width ?? 1200) < 600}
        );
    try {
        await look("page.png", {width: 1100, height: 800}, "Is there a sauna?");
        await look("page-phone.png", {width: 390, height: 844, colorScheme: "dark"}, "Where is the breakfast room?");
    } finally {
        await stop(0);
    }
}
