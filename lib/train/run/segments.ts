/** Typed arrays as bytes: a JSON line with their names, types and lengths, then the arrays, each at a multiple of 8. */
const types = {Float32Array, Int32Array, Uint8Array, Uint32Array} as const;
export type Packable = Float32Array | Int32Array | Uint8Array | Uint32Array;

export function pack(arrays: Readonly<Record<string, Packable>>): Uint8Array {
    const header = Object.entries(arrays).map(([name, array]) => [name, array.constructor.name, array.length]);
    const line = Buffer.from(`${JSON.stringify(header)}\n`);
    const sizes = Object.values(arrays).map(({byteLength}) => aligned(byteLength));
    const out = new Uint8Array(aligned(line.length) + sizes.reduce((sum, size) => sum + size, 0));
    out.set(line);
    let at = aligned(line.length);
    for (const array of Object.values(arrays)) {
        out.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
        at += aligned(array.byteLength);
    }
    return out;
}

/** The arrays of `pack`, copied. The bytes are those that were packed: whoever keeps them checks their hash. */
export function unpack<Names extends string>(bytes: Uint8Array): Record<Names, Packable> {
    const end = bytes.indexOf(0x0a) + 1;
    const header = JSON.parse(Buffer.from(bytes.subarray(0, end)).toString()) as [string, keyof typeof types, number][];
    const arrays: Record<string, Packable> = {};
    let at = aligned(end);
    for (const [name, type, length] of header) {
        const size = length * types[type].BYTES_PER_ELEMENT;
        arrays[name] = new types[type](new Uint8Array(bytes.subarray(at, at + size)).buffer);
        at += aligned(size);
    }
    return arrays as Record<Names, Packable>;
}

/** A plain value and the typed arrays in it. `leaveOut`: names of fields that the reader puts back. */
export function packValue(value: unknown, leaveOut: readonly string[] = []): Uint8Array {
    const arrays: Packable[] = [];
    const json = JSON.stringify(value, (key, part) => {
        if (leaveOut.includes(key)) return undefined;
        if (!ArrayBuffer.isView(part)) return part;
        return {array: arrays.push(part as Packable) - 1};
    });
    return pack({...Object.fromEntries(arrays.entries()), json: Uint8Array.from(Buffer.from(json))});
}

/** The value of `packValue`. */
export function unpackValue(bytes: Uint8Array): unknown {
    const {json, ...arrays} = unpack<string>(bytes);
    return JSON.parse(Buffer.from(json as Uint8Array).toString(), (_, part) =>
        typeof part?.array === "number" ? arrays[part.array] : part
    );
}

/** How many of the first segments a replay of this capacity has overwritten entirely. */
export function forgottenSegments(segments: readonly number[], capacity: number): number {
    let held = 0;
    let first = segments.length;
    while (first > 0 && held < capacity) held += segments[--first] as number;
    return first;
}

function aligned(bytes: number): number {
    return Math.ceil(bytes / 8) * 8;
}
