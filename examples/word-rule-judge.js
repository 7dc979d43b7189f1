/**
 * A rule on words as judge: no answer holds a forbidden word. It looks at tokens only, so nothing is decoded for it.
 *
 *     node examples/word-rule-judge.js model.gguf "Tell me about the weather." rain snow
 */
import {fileURLToPath} from "node:url";
import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext} from "node-llama-mara";

/** @returns {import("node-llama-mara").Judge} */
export function withoutWords(words) {
    const forbidden = new RegExp(`\\b(${words.map((word) => word.replace(/\W/g, "\\$&")).join("|")})`, "i");
    return {
        needsStates: false,
        judge({answer, candidates, sequence}) {
            // A word may be spread over several tokens, so each candidate is read after the end of the answer.
            const end = answer.slice(-16);
            const before = sequence.model.detokenize(end);
            const standsAlready = forbidden.test(before) ? 1 : 0;
            return candidates.map((token) => {
                const text = sequence.model.detokenize([...end, token]);
                return !standsAlready && forbidden.test(text) ? 0 : 1;
            });
        }
    };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const [, , modelPath, prompt, ...words] = process.argv;
    const llama = await getLlama();
    const model = await llama.loadModel({modelPath});
    const {context} = await createAlignedContext(model, {
        judge: withoutWords(words),
        // The usual nucleus may hold one candidate alone, which is taken unjudged, since there is nothing to choose.
        candidates: {topP: 1},
        contextSize: {max: 2048}
    });
    const session = new LlamaChatSession({contextSequence: context.getSequence()});
    await session.prompt(prompt, {maxTokens: 200, onTextChunk: (text) => process.stdout.write(text)});
    console.log();
    await llama.dispose();
}
