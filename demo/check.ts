/**
 * Compares the finished model in stock node-llama-cpp with PyTorch's results: the same tokens, the same hidden
 * states up to half precision, the same greedy replies. Called by `build.sh`.
 */
import {readFileSync} from "node:fs";
import {join} from "node:path";
import {getLlama, LlamaChatSession, type LlamaContext} from "node-llama-cpp";
import {heldOutPrompts} from "../lib/demo/world.js";

interface Reference {
    cases: {text: string; tokens: number[]; state: number[]}[];
    replies: string[];
}

const [work = "demo/build", modelPath = "demo/model.gguf"] = process.argv.slice(2);
const reference: Reference = JSON.parse(readFileSync(join(work, "reference.json"), "utf8"));

// One thread: the model is tiny, and on a busy machine llama.cpp's threads would wait for each other.
const llama = await getLlama({gpu: false, build: "never", maxThreads: 1});
const model = await llama.loadModel({modelPath});

/** The state of the last token after the final norm: internal to node-llama-cpp, as its embedding context uses it. */
interface Internals {
    _ctx: {getEmbedding(tokens: number): Float64Array};
}
const plain = await model.createContext({contextSize: 512, ...{_embeddings: true}});
const sequence = plain.getSequence();
let worst = 0;
for (const {text, tokens, state} of reference.cases) {
    const own = model.tokenize(text, true);
    if (own.join() !== tokens.join())
        throw new Error(`Tokens differ for ${JSON.stringify(text)}: ${own} and ${tokens}`);
    await sequence.clearHistory();
    await sequence.evaluateWithoutGeneratingNewTokens(own);
    const got = [...(plain as LlamaContext & Internals)._ctx.getEmbedding(own.length)];
    const norm = (values: number[]) => Math.hypot(...values);
    worst = Math.max(worst, norm(got.map((value, i) => value - (state[i] ?? Number.NaN))) / norm(state));
}
await plain.dispose();

const context = await model.createContext({contextSize: 512});
const session = new LlamaChatSession({contextSequence: context.getSequence()});
let same = 0;
for (const [i, prompt] of heldOutPrompts(reference.replies.length).entries()) {
    const reply = await session.prompt(prompt.text, {maxTokens: 80});
    same += Number(reply === reference.replies[i]);
    if (i < 5) console.log(`  ${prompt.text}\n    ${reply}`);
    session.resetChatHistory();
}
await llama.dispose();

console.log(
    `tokens of ${reference.cases.length} texts agree; hidden states differ by ${worst.toExponential(1)} at most`
);
console.log(`${same} of ${reference.replies.length} greedy replies of LlamaChatSession are PyTorch's`);
if (!(worst < 1e-2) || same < 0.9 * reference.replies.length) process.exitCode = 1;
