/** Changes to inputs that know nothing of a format but whether it is text. */
import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";

export interface Random {
    /** A whole number, both ends included. */
    integer(low: number, high: number): number;
    pick<T>(from: readonly T[]): T;
}

export function seededChoices(seed: number): Random {
    const generator = xoroshiro128plus(seed);
    const integer = (low: number, high: number) => uniformInt(generator, low, high);
    return {integer, pick: (from) => from[integer(0, from.length - 1)] as (typeof from)[number]};
}

export const oddNumbers = ["0", "-0", "1", "-1", "2", "7", "8", "9", "255", "65536", "65537", "2147483647"].concat([
    "4294967295",
    "9007199254740991",
    "18446744073709551615",
    "1e3",
    "1.0",
    "1.5",
    "1e400",
    "NaN",
    "null"
]);
const oddText = [
    '""',
    '"\\ud800"',
    '"\\u0000"',
    '"__proto__"',
    "{}",
    "[]",
    "true",
    "\u202e",
    "\u001b[31m",
    "é",
    "\ufeff"
];
const oddBytes = [0, 1, 2, 0x0a, 0x22, 0x28, 0x2e, 0x50, 0x5b, 0x7b, 0x7d, 0x7f, 0x80, 0xfe, 0xff];

/** One change; text stays text. */
export function mutateAny(input: Uint8Array, random: Random): Uint8Array {
    return isText(input) && random.integer(0, 3) > 0
        ? Buffer.from(mutateText(Buffer.from(input).toString(), random))
        : mutateBytes(input, random);
}

/** Drops, doubles, swaps or replaces a word, a number, a string or a sign. */
export function mutateText(text: string, random: Random): string {
    const tokens = text.match(/"(?:[^"\\]|\\.)*"?|-?\d[\d.eE+-]*|\w+|\s+|[^\s\w"]/gu) ?? [""];
    const at = random.integer(0, tokens.length - 1);
    const other = random.integer(0, tokens.length - 1);
    const token = tokens[at] as string;
    const changed = [
        () => [],
        () => [token, token],
        () => [tokens[other] as string],
        () => [token, tokens[other] as string],
        () => [random.pick(/^-?\d/.test(token) ? oddNumbers : oddText)],
        () => tokens.slice(Math.min(at, other), Math.max(at, other) + 1),
        () => [random.pick(["[", "{", "(", '{"a":']).repeat(random.integer(1, 3000)), token]
    ];
    tokens.splice(at, 1, ...random.pick(changed)());
    return tokens.join("");
}

export function mutateBytes(input: Uint8Array, random: Random): Uint8Array {
    if (input.length === 0) return Uint8Array.of(random.integer(0, 255));
    const bytes = Buffer.from(input);
    const at = random.integer(0, bytes.length - 1);
    const end = Math.min(bytes.length, at + random.integer(1, 32));
    switch (random.integer(0, 6)) {
        case 0:
            bytes[at] = (bytes[at] as number) ^ (1 << random.integer(0, 7));
            return bytes;
        case 1:
            bytes[at] = random.pick(oddBytes);
            return bytes;
        case 2:
            return bytes.subarray(0, at);
        case 3:
            return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
        case 4:
            return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
        case 5: {
            const to = random.integer(0, bytes.length - 1);
            bytes.copy(bytes, to, at, end);
            return bytes;
        }
        default:
            if (at + 4 > bytes.length) return bytes.subarray(at);
            bytes.writeUInt32LE(random.pick([0, 1, bytes.length, 2 ** 31, 2 ** 32 - 1, random.integer(0, 9999)]), at);
            return bytes;
    }
}

function isText(bytes: Uint8Array): boolean {
    try {
        return !new TextDecoder("utf-8", {fatal: true}).decode(bytes).includes("\0");
    } catch {
        return false;
    }
}
