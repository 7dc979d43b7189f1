/**
 * Published agents: PyTorch state dicts written by `torch.save`. Such a file is a zip archive of `NAME/data.pkl`, a pickle that
 * describes the tensors, `NAME/data/KEY`, the bytes of each storage, and `NAME/byteorder`.
 */
import {MaraError} from "../errors.js";
import {malformedPickle, type PickleHost, readPickle} from "./pickle.js";
import {countItems, type ItemView, itemSizes, maxRank, quote, quoteAll, type Tensor} from "./tensor.js";
import {damaged, openZip, type ZipEntry} from "./zip.js";

/** The pickle describes eight tensors in about 1 KB. */
const maxPickleBytes = 2 ** 20;
/** The most that is unpacked from a file, as a multiple of its size. Weights hardly compress, so a file beyond this was made to fill the memory. */
const maxExpansion = 16;
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

/** The pickle's globals, storages and tensors become these. They are plain data: nothing here can be called. */
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
        if (!Array.isArray(id) || id.length !== 5) return undefined;
        const [kind, storage, key, location, items] = id;
        if (kind !== "storage" || !(storage instanceof StorageClass) || typeof location !== "string") return undefined;
        return typeof key === "string" && isSize(items) ? new Storage(key, storage.dtype, items) : undefined;
    },
    call(callable, args, dict) {
        if (callable === orderedDict) return args.length === 0 ? dict() : undefined;
        if (callable === rebuildParameter) return parameterOf(args);
        return callable === rebuildTensor ? viewOf(args) : undefined;
    }
};

/** True if the bytes begin as a zip archive does. */
export function looksLikeZip(bytes: Uint8Array): boolean {
    return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

/** True if the bytes begin as a bare pickle of protocol 2 to 5 does, which torch.save wrote before version 1.6. */
export function looksLikePickle(bytes: Uint8Array): boolean {
    const version = bytes[1] ?? 0;
    return bytes[0] === 0x80 && version >= 2 && version <= 5;
}

/**
 * Reads the tensors of a state dict, row-major and little-endian. The dict may stand alone or be the only dict in another one
 * (`{"state_dict": …, "epoch": 3}`). All sizes are checked; a tensor's bytes are unpacked and put in order when they are asked for, which
 * may throw AGENT_FORMAT.
 * @throws MaraError AGENT_UNSAFE_PICKLE if the pickle asks for an opcode or global that a state dict does not need
 * @throws MaraError AGENT_FORMAT for a damaged archive or pickle, sizes that do not match, tensors that take more bytes than their storages,
 * or more than 16 times the file's bytes
 */
export async function readTorch(bytes: Uint8Array): Promise<Map<string, Tensor>> {
    const entries = await openZip(bytes);
    const pickles = [...entries.keys()].filter((name) => /(^|\/)data\.pkl$/.test(name));
    if (pickles.length !== 1) throw damaged(`it holds ${pickles.length} files named data.pkl instead of one`);
    const pickle = pickles[0] as string;
    const folder = pickle.slice(0, -"data.pkl".length);
    const unpackSmall = (name: string): Uint8Array | undefined => {
        const entry = entries.get(name);
        if (entry !== undefined && entry.size > maxPickleBytes) {
            throw damaged(`${quote(name)} declares ${entry.size} bytes, more than the limit of ${maxPickleBytes}`);
        }
        return entry?.unpack();
    };
    const views = findStateDict(readPickle(unpackSmall(pickle) as Uint8Array, host));
    const byteOrder = unpackSmall(`${folder}byteorder`);
    const order = byteOrder === undefined ? "little" : new TextDecoder().decode(byteOrder);
    if (order !== "little" && order !== "big") throw damaged(`its byte order is ${quote(order)}`);

    const storages = findStorages(views, order === "big", (key) => entries.get(`${folder}data/${key}`));
    const stored = sum([...storages.values()].map(({size}) => size));
    if (stored > maxExpansion * bytes.length) {
        throw damaged(`its tensors take ${stored} bytes, more than ${maxExpansion} times the file's ${bytes.length}`);
    }
    const needed = sum([...views.values()].map(({shape, storage}) => countItems(shape) * itemSizeOf(storage)));
    if (needed > stored) throw damaged(`its tensors take ${needed} bytes, but their storages have ${stored}`);
    return new Map(
        [...views].map(([name, view]) => {
            return [name, new StoredTensor(view, (storages.get(view.storage.key) as UnpackedOnce).unpack)];
        })
    );
}

/** A tensor whose bytes are put together when they are asked for. */
class StoredTensor implements Tensor {
    readonly dtype: string;
    readonly shape: readonly number[];

    constructor(
        private readonly tensor: TensorView,
        private readonly unpack: () => Uint8Array
    ) {
        this.dtype = tensor.storage.dtype;
        this.shape = tensor.shape;
    }

    get bytes(): Uint8Array {
        return gather(this.unpack(), this.tensor, itemSizeOf(this.tensor.storage));
    }

    get view(): ItemView {
        return {data: this.unpack(), offset: this.tensor.offset, strides: this.tensor.strides};
    }
}

interface UnpackedOnce {
    size: number;
    unpack(): Uint8Array;
}

/** The storages of the views by key, each described in one way only and as large as its file declares. */
function findStorages(
    views: ReadonlyMap<string, TensorView>,
    isBigEndian: boolean,
    find: (key: string) => ZipEntry | undefined
): Map<string, UnpackedOnce> {
    const found = new Map<string, UnpackedOnce & {storage: Storage}>();
    for (const [name, {storage}] of views) {
        const {key, dtype, items} = storage;
        const known = found.get(key)?.storage;
        if (known !== undefined && (known.dtype !== dtype || known.items !== items)) {
            throw damaged(`data/${key} is described in two ways, one of them by ${quote(name)}`);
        }
        if (known !== undefined) continue;
        const entry = find(key);
        if (entry === undefined) throw damaged(`the bytes of ${quote(name)} (data/${key}) are missing`);
        const size = items * itemSizeOf(storage);
        if (entry.size !== size) {
            throw damaged(`data/${key} has ${entry.size} bytes instead of the ${size} of ${quote(name)}`);
        }
        let bytes: Uint8Array | undefined;
        const unpack = () => {
            bytes ??= isBigEndian ? swapped(entry.unpack(), itemSizeOf(storage)) : entry.unpack();
            return bytes;
        };
        found.set(key, {storage, size, unpack});
    }
    return found;
}

function itemSizeOf({dtype}: Storage): number {
    return itemSizes.get(dtype) as number;
}

function sum(values: readonly number[]): number {
    return values.reduce((total, value) => total + value, 0);
}

function isSize(value: unknown): value is number {
    return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSizes(value: unknown): value is number[] {
    return Array.isArray(value) && value.length <= maxRank && value.every(isSize);
}

/** The arguments of torch._utils._rebuild_parameter: a tensor, and two of no use here. */
function parameterOf([view, requiresGrad, hooks]: readonly unknown[]): TensorView | undefined {
    return view instanceof TensorView && typeof requiresGrad === "boolean" && hooks instanceof Map ? view : undefined;
}

/** The arguments of torch._utils._rebuild_tensor_v2: storage, offset, size, stride, and three of no use here. */
function viewOf(args: readonly unknown[]): TensorView | undefined {
    const [storage, offset, shape, strides, requiresGrad, hooks] = args;
    if (args.length > 7 || typeof requiresGrad !== "boolean" || !(hooks instanceof Map)) return undefined;
    if (!(storage instanceof Storage) || !isSize(offset) || !isSizes(shape) || !isSizes(strides)) return undefined;
    if (shape.length !== strides.length) return undefined;
    if (countItems(shape) > 0) {
        const last = shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] as number), offset);
        if (last >= storage.items) throw malformedPickle(`a tensor reaches item ${last} of ${storage.items}`);
        const repeated = shape.find((size, axis) => size > 1 && strides[axis] === 0);
        if (repeated !== undefined) throw malformedPickle(`a tensor repeats one item ${repeated} times (stride 0)`);
    }
    return new TensorView(storage, offset, shape, strides);
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

/** The items of a view, row-major: a view of `data` where it is so already. The view is known to lie within `data`. */
function gather(data: Uint8Array, {offset, shape, strides}: TensorView, itemSize: number): Uint8Array {
    const count = countItems(shape);
    const isContiguous = shape.every((size, axis) => size <= 1 || strides[axis] === countItems(shape.slice(axis + 1)));
    if (isContiguous) return data.subarray(offset * itemSize, (offset + count) * itemSize);
    // Items are copied in words of at most four bytes: an item of eight is two of them.
    const words = itemSize === 8 ? 2 : 1;
    const Words = itemSize === 1 ? Uint8Array : itemSize === 2 ? Uint16Array : Uint32Array;
    const isAligned = data.byteOffset % Words.BYTES_PER_ELEMENT === 0;
    const {buffer, byteOffset, byteLength} = isAligned ? data : new Uint8Array(data);
    const source = new Words(buffer as ArrayBuffer, byteOffset, byteLength / Words.BYTES_PER_ELEMENT);
    const out = new Words(count * words);
    const columns = shape.at(-1) as number;
    const step = (strides.at(-1) as number) * words;
    const index = shape.map(() => 0);
    let start = offset * words;
    for (let at = 0; at < out.length; ) {
        for (let column = 0, from = start; column < columns; column++, from += step) {
            for (let word = 0; word < words; word++) out[at++] = source[from + word] as number;
        }
        for (let axis = shape.length - 2; axis >= 0; axis--) {
            const stride = (strides[axis] as number) * words;
            start += stride;
            index[axis] = (index[axis] as number) + 1;
            if ((index[axis] as number) < (shape[axis] as number)) break;
            start -= stride * (shape[axis] as number);
            index[axis] = 0;
        }
    }
    return new Uint8Array(out.buffer);
}

function swapped(bytes: Uint8Array, itemSize: number): Uint8Array {
    const copy = Buffer.from(bytes);
    if (itemSize === 2) return copy.swap16();
    if (itemSize === 4) return copy.swap32();
    return itemSize === 8 ? copy.swap64() : copy;
}
