/** Blocks of llama.cpp's K-quants (ggml-quants.c), by the nearest values, without its search for better scales. */

/** Values of a block. Sub-blocks of 32, of 16 in Q6_K, have a scale of their own. */
export const kBlockSize = 256;
export type KQuant = "Q4_K" | "Q5_K" | "Q6_K";

/** `half` writes a number in half precision. */
export function kBlock(type: KQuant, values: Float32Array, half: (value: number) => Buffer): Buffer {
    return type === "Q6_K" ? sixBits(values, half) : withMinima(type === "Q4_K" ? 4 : 5, values, half);
}

/** Scale and minimum of each sub-block, six bits each; low four bits of the values; in Q5_K their fifth bits before those. */
function withMinima(bits: 4 | 5, values: Float32Array, half: (value: number) => Buffer): Buffer {
    const subBlocks = Array.from({length: 8}, (_, i) => values.subarray(32 * i, 32 * i + 32));
    const minima = subBlocks.map((block) => Math.max(0, -Math.min(...block)));
    const steps = subBlocks.map((block, i) => (Math.max(...block) + (minima[i] as number)) / (2 ** bits - 1));
    const scale = Math.max(...steps) / 63;
    const minimum = Math.max(...minima) / 63;
    const stepOf = steps.map((step) => Math.max(1, Math.round(step / scale)));
    const minimumOf = minima.map((value) => Math.round(value / minimum));
    const packed = new Uint8Array(12);
    for (let i = 0; i < 4; i++) {
        const [low, high] = [i, i + 4] as const;
        packed[i] = (stepOf[low] as number) | (((stepOf[high] as number) >> 4) << 6);
        packed[i + 4] = (minimumOf[low] as number) | (((minimumOf[high] as number) >> 4) << 6);
        packed[i + 8] = ((stepOf[high] as number) & 15) | (((minimumOf[high] as number) & 15) << 4);
    }
    const quants = Array.from(values, (value, i) => {
        const [step, low] = [stepOf[i >> 5] as number, minimumOf[i >> 5] as number];
        return Math.max(0, Math.min(2 ** bits - 1, Math.round((value + minimum * low) / (scale * step))));
    });
    const nibbles = Uint8Array.from({length: 128}, (_, i) => {
        const at = 64 * (i >> 5) + (i & 31);
        return ((quants[at] as number) & 15) | (((quants[at + 32] as number) & 15) << 4);
    });
    const fifths = Uint8Array.from({length: bits === 5 ? 32 : 0}, (_, i) =>
        subBlocks.reduce((byte, _, n) => byte | (((quants[32 * n + i] as number) >> 4) << n), 0)
    );
    return Buffer.concat([half(scale), half(minimum), packed, fifths, nibbles]);
}

/** Low four bits, high two bits, the sub-blocks' scales, and the block's. */
function sixBits(values: Float32Array, half: (value: number) => Buffer): Buffer {
    const largest = Array.from({length: 16}, (_, i) =>
        Math.max(...values.subarray(16 * i, 16 * i + 16).map((value) => Math.abs(value)))
    );
    const scale = Math.max(...largest) / 31 / 127;
    const scales = Int8Array.from(largest, (value) => Math.max(1, Math.round(value / 31 / scale)));
    const quants = Array.from(values, (value, i) =>
        Math.max(0, Math.min(63, Math.round(value / (scale * (scales[i >> 4] as number))) + 32))
    );
    const low = new Uint8Array(128);
    const high = new Uint8Array(64);
    for (const [i, quant] of quants.entries()) {
        // Four rows of 32 values share their bytes.
        const [part, row, column] = [i >> 7, (i >> 5) & 3, i & 31] as const;
        low[64 * part + 32 * (row & 1) + column] =
            (low[64 * part + 32 * (row & 1) + column] as number) | ((quant & 15) << (4 * (row >> 1)));
        high[32 * part + column] = (high[32 * part + column] as number) | ((quant >> 4) << (2 * row));
    }
    return Buffer.concat([low, high, Buffer.from(scales.buffer), half(scale)]);
}
