import type {LlamaModel, Token} from "node-llama-cpp";
import type {AddonContext} from "../../lib/align/node-llama-cpp/internals.js";
import {small} from "./models.js";

/** Hidden states of the prompts' tokens, row-major; random agents are balanced on them. */
export async function statesOfPrompts(
    model: LlamaModel,
    prompts: readonly (readonly Token[])[]
): Promise<Float32Array> {
    const context = await model.createContext({...small, ...{_embeddings: true}});
    const {_ctx: native} = context as unknown as {_ctx: AddonContext};
    const states: number[] = [];
    for (const prompt of prompts) {
        native.removeTokenCellsFromSequence(0, 0, -1);
        for (const [position, token] of prompt.entries()) {
            native.initBatch(1);
            native.addToBatch(0, position, Uint32Array.of(token), Uint32Array.of(0));
            await native.decodeBatch();
            states.push(...native.getEmbedding(1));
        }
    }
    await context.dispose();
    return Float32Array.from(states);
}
