/**
 * Published agents: PyTorch state dicts written by `torch.save`. Such a file is a zip archive of `NAME/data.pkl`, a pickle that
 * describes the tensors, `NAME/data/KEY`, the bytes of each storage, and `NAME/byteorder`.
 */
import {type UnzipFileInfo, unzipSync} from "fflate";
import {MaraError} from "../errors.js";
import {malformedPickle, type PickleHost, readPickle} from "./pickle.js";
import {countItems, itemSizes, maxAgentBytes, quote, quoteAll, type Tensor} from "./tensor.js";

/** The pickle describes eight tensors in about 1 KB. */
const maxPickleBytes = 2 ** 20;
const maxZipEntries = 4096;
/** No deflate stream expands more than this. */
const maxDeflateRatio = 1032;
const maxRank = 8;
const maxNesting = 4;

/** Storage classes by name. The integer ones are known so that such a tensor is refused by name, as one of a wrong dtype. */
const storageDtypes: ReadonlyMap<string, string> = new Map([
    ["FloatStorage", "F32"],
    ["HalfStorage", "F16"],
    ["BFloat16Storage", "BF16"],
    ["DoubleStorage", "F64"],
    ["LongStorage", "I64"],
    ["IntStorage", "I32"],
    ["ShortStorage", "I16"],
    ["CharStorage", "I8"],
    ["ByteStorage", "U8"],
    ["BoolStorage", "BOOL"]
]);

/** What the pickle's globals, storages and tensors become. Plain data: nothing here can be called. */
class StorageClass {
    constructor(readonly dtype: string) {}
}
class Storage {
    constructor(
        readonly key: string,
        readonly dtype: string,
        readonly items: number
    ) {}
}
/** A view of a storage; offset and strides count items. */
class TensorView {
    constructor(
        readonly storage: Storage,
        readonly offset: number,
        readonly shape: readonly number[],
        readonly strides: readonly number[]
    ) {}
}
const orderedDict = {};
const rebuildTensor = {};
const rebuildParameter = {};

const host: PickleHost = {
    global(module, name) {
        if (module === "collections" && name === "OrderedDict") return orderedDict;
        if (module === "torch._utils" && name === "_rebuild_tensor_v2") return rebuildTensor;
        if (module === "torch._utils" && name === "_rebuild_parameter") return rebuildParameter;
        const dtype = module === "torch" ? storageDtypes.get(name) : undefined;
        return dtype === undefined ? undefined : new StorageClass(dtype);
    },
    persistent(id) {
        if (!Array.isArray(id)) return undefined;
        const [kind, storage, key, , items] = id;
        if (kind !== "storage" || !(storage instanceof StorageClass)) return undefined;
        return typeof key === "string" && isSize(items) ? new Storage(key, storage.dtype, items) : undefined;
    },
    call(callable, args) {
        if (callable === orderedDict) return args.length === 0 ? new Map() : undefined;
        if (callable === rebuildParameter) return args[0] instanceof TensorView ? args[0] : undefined;
        return callable === rebuildTensor ? viewOf(args) : undefined;
    }
};

/** Whether the bytes begin as a zip archive does. */
export function looksLikeZip(bytes: Uint8Array): boolean {
    return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

/** Whether the bytes begin as a bare pickle of protocol 2 to 5 does: what torch.save wrote before version 1.6. */
export function looksLikePickle(bytes: Uint8Array): boolean {
    const version = bytes[1] ?? 0;
    return bytes[0] === 0x80 && version >= 2 && version <= 5;
}

/**
 * Reads the tensors of a state dict, made contiguous and little-endian. The dict may stand alone or be the only dict in another
 * one (`{"state_dict": …, "epoch": 3}`).
 * @throws MaraError AGENT_UNSAFE_PICKLE if the pickle asks for an opcode or global that a state dict does not need
 * @throws MaraError AGENT_FORMAT for a damaged archive or pickle, sizes that do not match, or more than `maxAgentBytes`
 */
export function readTorch(bytes: Uint8Array): Map<string, Tensor> {
    const isHead = (name: string) => /(^|\/)(data\.pkl|byteorder)$/.test(name);
    const head = extract(bytes, isHead, maxPickleBytes);
    const pickles = [...head.keys()].filter((name) => name.endsWith("data.pkl"));
    if (pickles.length !== 1) throw damaged(`it holds ${pickles.length} files named data.pkl instead of one`);
    const pickle = pickles[0] as string;
    const folder = pickle.slice(0, -"data.pkl".length);
    const views = findStateDict(readPickle(head.get(pickle) as Uint8Array, host));
    const order = new TextDecoder().decode(head.get(`${folder}byteorder`) ?? new Uint8Array()).trim() || "little";
    if (order !== "little" && order !== "big") throw damaged(`its byte order is ${quote(order)}`);

    const wanted = new Set([...views.values()].map((view) => `${folder}data/${view.storage.key}`));
    const storages = extract(bytes, (name) => wanted.has(name), maxAgentBytes);
    const tensors = new Map<string, Tensor>();
    let total = 0;
    for (const [name, view] of views) {
        const {key, dtype, items} = view.storage;
        const data = storages.get(`${folder}data/${key}`);
        const itemSize = itemSizes.get(dtype) as number;
        if (data === undefined) throw damaged(`the bytes of ${quote(name)} (data/${key}) are missing`);
        if (data.length !== items * itemSize) {
            throw damaged(`data/${key} has ${data.length} bytes instead of the ${items * itemSize} of ${quote(name)}`);
        }
        // Views may overlap, so that a small file could describe tensors without end.
        total += countItems(view.shape) * itemSize;
        if (total > maxAgentBytes) throw damaged(`its tensors take more than ${maxAgentBytes} bytes`);
        const contiguous = gather(data, view, itemSize);
        if (order === "big") swapBytes(contiguous, itemSize);
        tensors.set(name, {dtype, shape: view.shape, bytes: contiguous});
    }
    return tensors;
}

function damaged(reason: string): MaraError {
    return new MaraError("AGENT_FORMAT", `This is not a valid .pth file: ${reason}`);
}

function isSize(value: unknown): value is number {
    return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSizes(value: unknown): value is number[] {
    return Array.isArray(value) && value.length <= maxRank && value.every(isSize);
}

/** The arguments of torch._utils._rebuild_tensor_v2: storage, offset, size, stride, and three of no use here. */
function viewOf([storage, offset, shape, strides]: readonly unknown[]): TensorView | undefined {
    if (!(storage instanceof Storage) || !isSize(offset) || !isSizes(shape) || !isSizes(strides)) return undefined;
    if (shape.length !== strides.length) return undefined;
    if (countItems(shape) > 0) {
        const last = shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] as number), offset);
        if (last >= storage.items) throw malformedPickle(`a tensor reaches item ${last} of ${storage.items}`);
    }
    return new TensorView(storage, offset, shape, strides);
}

/** Unpacks the entries that `wanted` selects, together at most `limit` bytes. fflate trusts the sizes that an archive declares. */
function extract(bytes: Uint8Array, wanted: (name: string) => boolean, limit: number): Map<string, Uint8Array> {
    let entries = 0;
    let total = 0;
    const seen = new Set<string>();
    const filter = ({name, size, originalSize, compression}: UnzipFileInfo): boolean => {
        if (++entries > maxZipEntries) throw damaged(`it holds more than ${maxZipEntries} files`);
        if (!wanted(name)) return false;
        if (seen.has(name)) throw damaged(`it holds ${quote(name)} twice`);
        seen.add(name);
        total += originalSize;
        if (!(total <= limit))
            throw damaged(`${quote(name)} declares ${originalSize} bytes, more than the limit of ${limit}`);
        const possible = compression === 0 ? size === originalSize : originalSize <= size * maxDeflateRatio;
        if (!possible || size > bytes.length)
            throw damaged(`${quote(name)} declares ${originalSize} bytes stored in ${size}`);
        return true;
    };
    try {
        return new Map(Object.entries(unzipSync(bytes, {filter})));
    } catch (error) {
        if (error instanceof MaraError) throw error;
        throw damaged(`the zip archive is damaged or cut short (${(error as Error).message})`);
    }
}

/** The dict that holds tensors: the root, or the only dict within it, and so on. */
function findStateDict(root: unknown): Map<string, TensorView> {
    let dict = root;
    for (let depth = 0; depth < maxNesting && dict instanceof Map; depth++) {
        const entries = [...(dict as Map<string, unknown>)];
        const others = entries.filter(([, value]) => !(value instanceof TensorView)).map(([name]) => name);
        if (others.length === 0) return dict as Map<string, TensorView>;
        if (others.length < entries.length) {
            throw new MaraError("AGENT_TENSORS", `Entries next to the tensors are no tensors: ${quoteAll(others)}`);
        }
        const dicts = entries.filter(([, value]) => value instanceof Map);
        if (dicts.length > 1) {
            const names = quoteAll(dicts.map(([name]) => name));
            throw new MaraError(
                "AGENT_TENSORS",
                `It holds several dicts (${names}): save the actor's state dict alone`
            );
        }
        dict = dicts[0]?.[1];
    }
    throw new MaraError("AGENT_TENSORS", "It holds no state dict: save one with torch.save(actor.state_dict(), path)");
}

/** The items of a view, row-major, in bytes of their own. The view is known to lie within `data`. */
function gather(data: Uint8Array, {offset, shape, strides}: TensorView, itemSize: number): Uint8Array {
    const count = countItems(shape);
    const isContiguous = strides.every((stride, axis) => stride === countItems(shape.slice(axis + 1)));
    if (isContiguous) return data.slice(offset * itemSize, (offset + count) * itemSize);
    const out = new Uint8Array(count * itemSize);
    const index = shape.map(() => 0);
    let item = offset;
    for (let i = 0; i < count; i++) {
        const from = item * itemSize;
        for (let byte = 0; byte < itemSize; byte++) out[i * itemSize + byte] = data[from + byte] as number;
        for (let axis = shape.length - 1; axis >= 0; axis--) {
            item += strides[axis] as number;
            index[axis] = (index[axis] as number) + 1;
            if ((index[axis] as number) < (shape[axis] as number)) break;
            item -= (strides[axis] as number) * (shape[axis] as number);
            index[axis] = 0;
        }
    }
    return out;
}

function swapBytes(bytes: Uint8Array, itemSize: number): void {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (itemSize === 2) buffer.swap16();
    else if (itemSize === 4) buffer.swap32();
    else if (itemSize === 8) buffer.swap64();
}
