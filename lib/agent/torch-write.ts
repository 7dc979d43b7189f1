/** Writes what `torch.load(path, weights_only=True)` reads: the archive that torch.ts describes, with storages as they stand in memory. */
import {zipSync} from "fflate";
import {op} from "./pickle-opcodes.js";
import {countItems, type Tensor} from "./tensor.js";

const storageOf: Readonly<Record<string, string>> = {F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage"};
const folder = "agent";
/** An archive holds no date, so that the same agent gives the same file. It is the earliest that the format knows. */
const mtime = new Date(1980, 0, 1);

/** Where the bytes of a file in the archive may begin, so that they can be used as they were read, and the field that fills up to there: as torch.save does. */
const alignment = 64;
const paddingField = 0x4246;
/** A file's header without its name, and that of the field. */
const headerSize = 30 + 4;

/** @param tensors F32, F16 or BF16, little-endian */
export function writeTorch(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
    const storages = [...tensors.values()].map(({bytes}, key) => [`data/${key}`, bytes] as const);
    const files = [
        ["data.pkl", pickleOf(tensors)] as const,
        ["byteorder", Buffer.from("little")] as const,
        ...storages,
        ["version", Buffer.from("3\n")] as const
    ];
    let end = 0;
    const named = files.map(([name, bytes]) => {
        const path = `${folder}/${name}`;
        const begin = end + headerSize + path.length;
        const padding = -begin & (alignment - 1);
        end = begin + padding + bytes.length;
        return [path, [bytes, {extra: {[paddingField]: new Uint8Array(padding)}}]];
    });
    return zipSync(Object.fromEntries(named), {level: 0, mtime});
}

/** A dict of tensors as torch.save pickles them, by protocol 2. */
function pickleOf(tensors: ReadonlyMap<string, Tensor>): Buffer {
    const items = [...tensors].map(([name, tensor], key) => [text(name), ...tensorOf(tensor, key)]);
    return Buffer.concat([
        Buffer.of(op.proto, 2, op.emptyDict, op.mark),
        ...items.flat(),
        Buffer.of(op.setitems, op.stop)
    ]);
}

/** torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks) */
function tensorOf({dtype, shape}: Tensor, key: number): Buffer[] {
    const strides = shape.map((_, axis) => countItems(shape.slice(axis + 1)));
    const storage = tuple(
        text("storage"),
        named("torch", storageOf[dtype] as string),
        text(String(key)),
        text("cpu"),
        integer(countItems(shape))
    );
    return [
        named("torch._utils", "_rebuild_tensor_v2"),
        tuple(
            storage,
            Buffer.of(op.binpersid),
            integer(0),
            tuple(...shape.map(integer)),
            tuple(...strides.map(integer)),
            Buffer.of(op.newfalse),
            named("collections", "OrderedDict"),
            Buffer.of(op.emptyTuple, op.reduce)
        ),
        Buffer.of(op.reduce)
    ];
}

const named = (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`);

function tuple(...parts: Buffer[]): Buffer {
    return Buffer.concat([Buffer.of(op.mark), ...parts, Buffer.of(op.tuple)]);
}

function text(value: string): Buffer {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.of(op.binunicode), littleEndian(bytes.length), bytes]);
}

function integer(value: number): Buffer {
    return Buffer.concat([Buffer.of(op.binint), littleEndian(value)]);
}

function littleEndian(value: number): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
}
