/** Rows of values, as one array. */
export function concatenate(parts: readonly Float32Array[]): Float32Array {
    const all = new Float32Array(parts.reduce((sum, {length}) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
        all.set(part, at);
        at += part.length;
    }
    return all;
}

/** The rows at these indexes of `values`, which is [rows][width]. */
export function gather(values: Float32Array, rows: readonly number[], width: number): Float32Array {
    return concatenate(rows.map((row) => values.subarray(row * width, (row + 1) * width)));
}

/** Parts of at most `max` items whose sizes differ by one at most. */
export function evenParts<T>(items: readonly T[], max: number): T[][] {
    const count = Math.ceil(items.length / max);
    return Array.from({length: count}, (_, i) =>
        items.slice(Math.floor((i * items.length) / count), Math.floor(((i + 1) * items.length) / count))
    );
}
