import {readFileSync} from "node:fs";
import {namedTensors} from "../../../lib/agent/options.js";
import {writeSafetensors} from "../../../lib/agent/safetensors.js";
import {convert} from "../../../lib/agent/tensor.js";
import {goldenPath, safetensorsFile, smallTensors} from "../../agent/helpers.js";
import {loadAgent} from "../load-agent.js";
import {mutateBytes, mutateText, type Random} from "../mutate.js";
import type {FuzzTarget} from "../target.js";

const dtypes = ["F64", "F32", "F16", "BF16", "I64", "U8", "F8_E4M3", "constructor"];

/** The header's text and the data, if there are such. */
function split(input: Uint8Array): {header: string; data: Uint8Array} | undefined {
    const bytes = Buffer.from(input);
    if (bytes.length < 9) return undefined;
    const length = Number(bytes.readBigUInt64LE());
    if (length + 8 > bytes.length) return undefined;
    return {header: bytes.toString("utf8", 8, 8 + length), data: bytes.subarray(8 + length)};
}

/** A change that knows the format. */
export function mutateSafetensors(input: Uint8Array, random: Random): Uint8Array {
    const parts = split(input);
    if (parts === undefined) return mutateBytes(input, random);
    const {header, data} = parts;
    switch (random.integer(0, 5)) {
        case 0:
            return safetensorsFile(header, mutateBytes(data, random));
        case 1:
            return safetensorsFile(header.replace(random.pick(dtypes), random.pick(dtypes)), data);
        case 2:
            return safetensorsFile(header, data, BigInt(Math.max(0, header.length + random.integer(-9, 9))));
        case 3:
            return rewritten(header, data, random) ?? safetensorsFile(mutateText(header, random), data);
        default:
            return safetensorsFile(mutateText(header, random), data);
    }
}

/** Another shape, dtype or place for one tensor, with offsets and data that fit it. */
function rewritten(header: string, data: Uint8Array, random: Random): Uint8Array | undefined {
    try {
        const entries = JSON.parse(header) as Record<string, {dtype: string; shape: number[]; data_offsets: number[]}>;
        const names = Object.keys(entries).filter((name) => name !== "__metadata__");
        const changed = random.pick(names);
        const out: Record<string, unknown> = {};
        const parts: Uint8Array[] = [];
        let offset = 0;
        for (const name of random.integer(0, 1) === 0 ? names : names.reverse()) {
            const {dtype, shape, data_offsets: offsets} = entries[name] as (typeof entries)[string];
            let bytes = data.subarray(...(offsets as [number, number]));
            let [type, sizes] = [dtype, shape];
            if (name === changed) {
                const count = random.integer(0, 3);
                if (count === 0) sizes = [...shape].reverse();
                if (count === 1) sizes = [...shape, 1];
                if (count === 2) [type, bytes] = ["BF16", bytes.subarray(0, bytes.length / 2)];
                if (count === 3) [type, bytes] = ["F64", Buffer.concat([bytes, bytes])];
            }
            out[name] = {dtype: type, shape: sizes, data_offsets: [offset, offset + bytes.length]};
            parts.push(bytes);
            offset += bytes.length;
        }
        return safetensorsFile(out, Buffer.concat(parts));
    } catch {
        return undefined;
    }
}

export const target: FuzzTarget = {
    name: "agent-safetensors",
    seeds() {
        const tensors = namedTensors(smallTensors());
        const halves = new Map(
            [...tensors].map(([name, tensor]) => [
                `actor.${name}`,
                convert(name, tensor as Parameters<typeof convert>[1], "F16")
            ])
        );
        return [
            writeSafetensors(tensors, {origin: "a seed"}),
            writeSafetensors(halves, {}),
            readFileSync(goldenPath("head.safetensors"))
        ];
    },
    run: loadAgent,
    mutate: mutateSafetensors
};
