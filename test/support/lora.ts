import {writeFileSync} from "node:fs";
import {encodeGguf} from "./gguf.js";
import {seededRandom} from "./random.js";

/** Writes a LoRA adapter with random weights for the output of attention in the first layer of a Llama model of this width. */
export function writeLora(path: string, width: number): void {
    const random = seededRandom(11);
    const rank = 4;
    const matrix = (inputs: number, outputs: number) => ({
        shape: [inputs, outputs],
        type: "F32" as const,
        values: Float32Array.from({length: inputs * outputs}, () => random.normal())
    });
    const file = encodeGguf(
        {
            "general.architecture": {string: "llama"},
            "general.type": {string: "adapter"},
            "adapter.type": {string: "lora"},
            "adapter.lora.alpha": {f32: rank}
        },
        {
            "blk.0.attn_output.weight.lora_a": matrix(width, rank),
            "blk.0.attn_output.weight.lora_b": matrix(rank, width)
        }
    );
    writeFileSync(path, file);
}
