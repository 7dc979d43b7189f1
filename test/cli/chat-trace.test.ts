import {spawn} from "node:child_process";
import {existsSync, readdirSync, readFileSync} from "node:fs";
import {join} from "node:path";
import {describe, expect, it} from "vitest";
import {describeWithBrowser, withBrowser} from "../support/browser.js";
import {expectFailure, hasDemo, mara, needsDemo, root, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const chat = ["chat", "--threads", "1", "--gpu", "off"];
const questions = ["Where is the breakfast room?", "Is there a <b>sauna</b> & a </script> pool?"];

describe.skipIf(!hasDemo)(`mara chat --trace${needsDemo}`, () => {
    describeWithBrowser("in a browser", () => {
        it("writes the conversation as a page, with what was decided about each token", async () => {
            const path = join(folder, "chat.html");
            const input = `${questions.join("\n")}\n`;
            const args = [...chat, "--compare", "--show-decisions", "--json", "--trace", path];
            const lines = (await succeed(args, {input})).trim().split("\n");
            const answers = lines.map((line) => JSON.parse(line));
            expect(readdirSync(folder)).toEqual(["chat.html"]);
            await withBrowser(async (open) => {
                const {page, complaints} = await open(path);
                expect(await page.locator(".question").allTextContents()).toEqual(questions);
                const texts = await page.locator(".answer").evaluateAll((all) =>
                    all.map((answer) => {
                        const copy = answer.cloneNode(true) as typeof answer;
                        for (const extra of copy.querySelectorAll(".rej, .end")) extra.remove();
                        return copy.textContent;
                    })
                );
                expect(texts).toEqual(answers.flatMap(({raw, answer}) => [raw, answer]));
                const aligned = page.locator(".answer").nth(1);
                expect(await aligned.locator(".tok").count()).toBe(answers[0].decisions.length);
                const at = answers[0].decisions.findIndex(
                    ({chosenRank, fallback}: {chosenRank: number; fallback: boolean}) => chosenRank > 0 && !fallback
                );
                const {candidates, chosenRank} = answers[0].decisions[at];
                await aligned.locator(".tok").nth(at).hover();
                const tip = await page.locator("#tip").textContent();
                expect(tip).toContain("rejected");
                const {acceptProbability} = candidates.find(({rank}: {rank: number}) => rank === chosenRank);
                expect(tip).toContain(
                    (100 * acceptProbability).toFixed(acceptProbability > 0.9995 ? 2 : 1).replace(/\.00$/, "")
                );
                expect(complaints).toEqual([]);
            });
        });
    });

    describeWithBrowser("of several agents, in a browser", () => {
        it("shows what each said of a candidate", async () => {
            const path = join(folder, "several.html");
            const agents = ["-a", "demo", "-a", "demo", "--combine", "all"];
            const shown = ["-p", questions[0] as string, "--show-decisions", "--json", "--trace", path];
            const {decisions} = JSON.parse(await succeed([...chat, ...agents, ...shown]));
            await withBrowser(async (open) => {
                const {page} = await open(path);
                await page.locator(".tok").first().hover();
                const [, , accept] = await page.locator("#tip tr.yes td").allTextContents();
                const {candidates, chosenRank} = decisions[0];
                const {opinions} = candidates.find(({rank}: {rank: number}) => rank === chosenRank);
                expect(opinions).toHaveLength(2);
                const percents = opinions.map(({acceptProbability}: {acceptProbability: number}) => {
                    const p = Number(acceptProbability.toPrecision(4));
                    return p === 1 ? "100 %" : `${(100 * p).toFixed(p > 0.9995 ? 2 : 1)} %`;
                });
                expect(accept).toMatch(/^[\d.]+ % \(/);
                expect(accept).toContain(` (${percents.join(", ")})`);
            });
        });
    });

    it("writes what there is when Ctrl-C ends the chat", async () => {
        const path = join(folder, "interrupted.html");
        const args = ["--import", "tsx", "lib/cli/mara.ts", ...chat, "--trace", path];
        const child = spawn(process.execPath, args, {cwd: root, stdio: ["pipe", "pipe", "inherit"]});
        child.stdin.write(`${questions[0]}\n`);
        // The answer has ended, and the next question has not come.
        await new Promise((resolve) => child.stdout.on("data", (text) => String(text).includes("\n") && resolve(null)));
        child.kill("SIGINT");
        expect(await new Promise((resolve) => child.on("close", resolve))).toBe(130);
        expect(readFileSync(path, "utf8")).toContain("Where is the breakfast room?");
    });

    it("says at once that there is no such folder", async () => {
        const path = join(folder, "nowhere", "chat.html");
        expectFailure(
            await mara([...chat, "-p", "x", "--trace", path]),
            /^Could not write .*: there is no folder .* \(WRITE_FAILED\)$/
        );
        expect(existsSync(path)).toBe(false);
    });
});
