/** Values that no parameter takes, and what it is that parameters take. */
import fc from "fast-check";

/** True if a value is one that a parameter takes. Such values are not wrong, so they are left out. */
export type Takes = (value: unknown) => boolean;

export const isString: Takes = (value) => typeof value === "string";
/** Texts name files and rewards, which are looked for. */
export const text: Takes = (value) => isString(value) && value !== "" && !(value as string).includes("\0");
export const func: Takes = (value) => typeof value === "function";
export const boolean: Takes = (value) => typeof value === "boolean";
export const nothing: Takes = () => false;
export const list: Takes = (value) => Array.isArray(value) && value.length === 0;
export const plain: Takes = (value) =>
    !hostile.includes(value as object) && Object.prototype.toString.call(value) === "[object Object]";
export const empty: Takes = (value) => plain(value) && Reflect.ownKeys(value as object).length === 0;
export const within =
    (min: number, max: number): Takes =>
    (value) =>
        typeof value === "number" && value >= min && value <= max;
export const whole =
    (min: number, max = Number.MAX_SAFE_INTEGER): Takes =>
    (value) =>
        Number.isInteger(value) && within(min, max)(value);
export const oneOf =
    (...takes: (Takes | string)[]): Takes =>
    (value) =>
        takes.some((one) => (typeof one === "string" ? one === value : one(value)));
/** May be left out. */
export const maybe = (takes: Takes): Takes => oneOf(takes, (value) => value === undefined);

const throwing = () => {
    throw new RangeError("hostile");
};
const getter = {get: throwing, enumerable: true};
export const functions = {toString: throwing, toJSON: throwing};
const hostile = [
    new Proxy({}, {get: throwing, has: throwing, ownKeys: throwing, getPrototypeOf: throwing}),
    Object.defineProperty({}, ["the", "n"].join(""), getter),
    Object.defineProperty({}, "prompt", getter),
    functions,
    {constructor: {name: Symbol("n")}}
];

const listed: unknown[] = [
    ...[undefined, null, true, false, 0, -0, 1, -1, 0.5, 2 ** 31, 2 ** 53, 1e300, -1e300],
    ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 10n, 10n ** 5000n, Symbol("s")],
    ...["", "0.5", "nonsense", "a\0b", "\ud800", "x".repeat(1e6), new String("s"), new Number(4)],
    ...[[], [null], [undefined], [[]], [{}], ["a", 5], new Array(3), {}, {a: 1}, Object.create(null)],
    ...[{prompt: 5}, {prompt: "a", system: 5}, {score: 5}, {length: 3}],
    ...[() => 5, async () => throwing(), class {}, new Date(), /x/, new Map(), new Set([1]), new Error("e")],
    ...[
        new Uint8Array(3),
        new Float32Array(5),
        new ArrayBuffer(8),
        new DataView(new ArrayBuffer(8)),
        Promise.resolve()
    ],
    ...[globalThis, new WeakMap()],
    ...hostile
];
const generated = fc.sample(
    fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withSparseArray: true,
        withNullPrototype: true
    }),
    {seed: 13, numRuns: 25}
);
export const wrong = [...listed, ...generated];

/** A copy of the arguments with `value` at the path. */
export function withValue(args: unknown[], path: string, value: unknown): unknown[] {
    const copy = [...args];
    const keys = path.startsWith("0.ln.") ? ["0", path.slice(2)] : path.split(".");
    let at = copy as unknown as Record<string, unknown>;
    for (const key of keys.slice(0, -1)) {
        const inner = at[key];
        at = at[key] = (Array.isArray(inner) ? [...inner] : {...(inner as object)}) as Record<string, unknown>;
    }
    at[keys.at(-1) as string] = value;
    return copy;
}

export function show(value: unknown): string {
    try {
        return fc.stringify(value).slice(0, 60);
    } catch {
        return typeof value;
    }
}
