// An agent trained by a reward of your own. Run: MODEL=model.gguf node reward.mjs
// The numbers are small enough for a try of a minute; docs/training.md says what a real run takes.
import {mkdtemp} from "node:fs/promises";
import {tmpdir} from "node:os";
import path from "node:path";
import {loadPrompts, trainAgent} from "node-llama-mara";

const {MODEL = "model.gguf", PROMPTS = "prompts.jsonl", THREADS} = process.env;
const prompts = await loadPrompts(PROMPTS);

/** Thanks are good, long answers are not. */
const reward = (_prompt, response) => (/thank|please/i.test(response) ? 1 : 0) - response.length / 200;

const {paths, summary} = await trainAgent({
    model: MODEL,
    prompts: prompts.slice(0, 24),
    reward,
    runDirectory: await mkdtemp(path.join(tmpdir(), "mara-run-")),
    method: "advantage",
    maxTokens: 24,
    student: false,
    ...(THREADS && {threads: Number(THREADS)})
});
console.log(paths.agent);
console.log(summary);
