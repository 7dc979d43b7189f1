/**
 * A restricted reader of Python pickles.
 *
 * It knows only the opcodes that `torch.save` writes for a state dict (protocol 2), builds nothing but tuples, dicts, strings,
 * whole numbers, booleans and null, and calls nothing: globals, persistent ids and calls are handed to a `PickleHost`, which
 * answers for the few it knows. The reader is our own, because the npm packages that read pickles carry out every opcode (they construct
 * objects, call `__setstate__`, seek backwards on negative lengths) and cannot be told to refuse some.
 */
import {MaraError} from "../errors.js";
import {op} from "./pickle-opcodes.js";
import {quote} from "./tensor.js";

/** Gives a meaning to the names in a pickle. Answers are opaque to the reader; undefined refuses. */
export interface PickleHost {
    /** The object that stands for `module.name`. */
    global(module: string, name: string): object | undefined;
    /** The object that stands for a persistent id. */
    persistent(id: unknown): object | undefined;
    /** The object that stands for the result of `callable(...args)`; `dict` makes an empty one. */
    call(callable: unknown, args: readonly unknown[], dict: () => Map<string, unknown>): object | undefined;
}

const mark = Symbol("mark");
/** A dict takes 200 times the byte that asks for it, so their number is bounded. A file of an agent has up to ten. */
const maxDicts = 1000;
const utf8 = new TextDecoder("utf-8", {fatal: true, ignoreBOM: true});

export function malformedPickle(reason: string): MaraError {
    return new MaraError("AGENT_FORMAT", `The pickle in it is malformed: ${reason}`);
}

function refused(what: string): MaraError {
    return new MaraError(
        "AGENT_UNSAFE_PICKLE",
        `The pickle in it asks ${what}, which a state dict does not need. Nothing of it was executed. ` +
            "Save the state dict alone: torch.save(actor.state_dict(), path)."
    );
}

/**
 * Reads one pickle. Tuples come as arrays, dicts as Maps with string keys.
 * @throws MaraError AGENT_UNSAFE_PICKLE for any other opcode, and for globals and calls that `host` refuses
 * @throws MaraError AGENT_FORMAT for a malformed pickle
 */
export function readPickle(bytes: Uint8Array, host: PickleHost): unknown {
    return new PickleReader(bytes, host).read();
}

class PickleReader {
    private position = 0;
    private dicts = 0;
    private readonly stack: unknown[] = [];
    private readonly memo = new Map<number, unknown>();
    private readonly bytes: Uint8Array;
    private readonly view: DataView;
    private readonly host: PickleHost;

    constructor(bytes: Uint8Array, host: PickleHost) {
        this.bytes = bytes;
        this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        this.host = host;
    }

    read(): unknown {
        for (;;) {
            const at = this.position;
            const opcode = this.byte();
            if (opcode === op.stop) return this.pop();
            const value = this.value(opcode);
            if (value !== undefined) {
                this.stack.push(value);
            } else if (!this.action(opcode)) {
                throw refused(`for the opcode 0x${opcode.toString(16).padStart(2, "0")} at byte ${at}`);
            }
        }
    }

    /** The value that an opcode pushes; undefined if it pushes none. */
    private value(opcode: number): unknown {
        switch (opcode) {
            case op.mark:
                return mark;
            case op.none:
                return null;
            case op.newtrue:
                return true;
            case op.newfalse:
                return false;
            case op.binint:
                return this.view.getInt32(this.skip(4), true);
            case op.binint1:
                return this.byte();
            case op.binint2:
                return this.view.getUint16(this.skip(2), true);
            case op.long1:
                return this.long();
            case op.binunicode:
                return this.text();
            case op.emptyTuple:
                return [];
            case op.tuple1:
                return this.popMany(1);
            case op.tuple2:
                return this.popMany(2);
            case op.tuple3:
                return this.popMany(3);
            case op.tuple:
                return this.popToMark();
            case op.emptyDict:
                return this.dict();
            case op.binget:
                return this.recall(this.byte());
            case op.longBinget:
                return this.recall(this.uint32());
            case op.global:
                return this.global();
            case op.binpersid:
                return this.persistent();
            case op.reduce:
                return this.reduce();
            default:
                return undefined;
        }
    }

    /** Carries out an opcode that pushes nothing; false if it is not one of a state dict's. */
    private action(opcode: number): boolean {
        switch (opcode) {
            case op.proto:
                this.protocol();
                return true;
            case op.binput:
                this.memo.set(this.byte(), this.top());
                return true;
            case op.longBinput:
                this.memo.set(this.uint32(), this.top());
                return true;
            case op.setitem:
                this.setItems(this.popMany(2));
                return true;
            case op.setitems:
                this.setItems(this.popToMark());
                return true;
            case op.build:
                this.build();
                return true;
            default:
                return false;
        }
    }

    /** Moves past `count` bytes and returns where they begin. */
    private skip(count: number): number {
        const start = this.position;
        if (count > this.bytes.length - start) throw malformedPickle(`it ends after byte ${this.bytes.length}`);
        this.position += count;
        return start;
    }

    private byte(): number {
        return this.view.getUint8(this.skip(1));
    }

    private uint32(): number {
        return this.view.getUint32(this.skip(4), true);
    }

    /** A two's complement number of up to 8 bytes; sizes and offsets above 2^31 come this way. */
    private long(): number {
        const count = this.byte();
        if (count > 8) throw malformedPickle(`a whole number of ${count} bytes`);
        const start = this.skip(count);
        let value = 0n;
        for (let i = 0; i < count; i++) value |= BigInt(this.view.getUint8(start + i)) << BigInt(8 * i);
        const number = Number(BigInt.asIntN(8 * count, value));
        if (!Number.isSafeInteger(number)) throw malformedPickle(`the number ${number} is too large`);
        return number;
    }

    private text(): string {
        const count = this.uint32();
        const start = this.skip(count);
        return this.decode(start, start + count);
    }

    private line(): string {
        const end = this.bytes.indexOf(0x0a, this.position);
        if (end < 0) throw malformedPickle(`it ends after byte ${this.bytes.length}`);
        const text = this.decode(this.position, end);
        this.position = end + 1;
        return text;
    }

    private decode(start: number, end: number): string {
        try {
            return utf8.decode(this.bytes.subarray(start, end));
        } catch {
            throw malformedPickle(`the text at byte ${start} is not UTF-8`);
        }
    }

    private protocol(): void {
        const version = this.byte();
        if (version !== 2) throw refused(`for pickle protocol ${version} instead of 2, torch.save's default`);
    }

    private dict(): Map<string, unknown> {
        if (++this.dicts > maxDicts) throw malformedPickle(`it makes more than ${maxDicts} dicts`);
        return new Map();
    }

    private top(): unknown {
        const value = this.stack.at(-1);
        if (value === undefined || value === mark) throw malformedPickle(`no value before byte ${this.position}`);
        return value;
    }

    private pop(): unknown {
        const value = this.top();
        this.stack.pop();
        return value;
    }

    /** The last `count` values, in the order in which they were pushed. */
    private popMany(count: number): unknown[] {
        const values = this.stack.splice(-count);
        if (values.length < count || values.includes(mark))
            throw malformedPickle(`no value before byte ${this.position}`);
        return values;
    }

    private popToMark(): unknown[] {
        const start = this.stack.lastIndexOf(mark);
        if (start < 0) throw malformedPickle(`no mark before byte ${this.position}`);
        const values = this.stack.splice(start);
        values.shift();
        return values;
    }

    private recall(index: number): unknown {
        if (!this.memo.has(index)) throw malformedPickle(`nothing was stored under ${index}`);
        return this.memo.get(index);
    }

    private setItems(items: readonly unknown[]): void {
        const dict = this.top();
        if (!(dict instanceof Map)) throw malformedPickle("items are set on a value that is no dict");
        if (items.length % 2 !== 0) throw malformedPickle("a dict entry has no value");
        for (let i = 0; i < items.length; i += 2) {
            if (typeof items[i] !== "string") throw malformedPickle("a dict key is no string");
            dict.set(items[i], items[i + 1]);
        }
    }

    private global(): object {
        const module = this.line();
        const name = this.line();
        const known = this.host.global(module, name);
        if (known === undefined) throw refused(`for the global ${quote(`${module}.${name}`)}`);
        return known;
    }

    private persistent(): object {
        const known = this.host.persistent(this.pop());
        if (known === undefined) throw malformedPickle("a persistent id does not describe a tensor's storage");
        return known;
    }

    private reduce(): object {
        const [callable, args] = this.popMany(2);
        const made = Array.isArray(args) ? this.host.call(callable, args, () => this.dict()) : undefined;
        if (made === undefined)
            throw malformedPickle(`the call before byte ${this.position} has arguments of a wrong kind`);
        return made;
    }

    /** BUILD sets attributes. PyTorch sets `_metadata` on state dicts, which is of no use here, so the state is dropped. */
    private build(): void {
        if (!(this.pop() instanceof Map) || !(this.top() instanceof Map)) {
            throw refused("to set the state of an object that is no dict");
        }
    }
}
