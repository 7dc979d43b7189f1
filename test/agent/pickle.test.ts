import {mkdtemp, readdir, rm} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {failure, goldenPath, type PickledTensor, pickle, pthFile, smallPth, text, tuple} from "./helpers.js";

const load = (bytes: Uint8Array): Promise<MaraAgent> => MaraAgent.load(bytes);
const malformed = (reason: string) => ({
    code: "AGENT_FORMAT",
    message: `Could not load the agent's bytes: The pickle in it is malformed: ${reason}`
});
const unsafe = (what: string, from = "the agent's bytes") => ({
    code: "AGENT_UNSAFE_PICKLE",
    message:
        `Could not load ${from}: The pickle in it asks ${what}, which a state dict does not need. ` +
        "Nothing of it was executed. Save the state dict alone: torch.save(actor.state_dict(), path)."
});

describe("a pickle that asks for more than a state dict needs", () => {
    test("is refused by its global, and runs nothing", async () => {
        const folder = await mkdtemp(join(tmpdir(), "mara-pickle-"));
        const command = text(`touch ${join(folder, "executed")}`);
        try {
            for (const [module, name] of [
                ["os", "system"],
                ["posix", "system"],
                ["subprocess", "call"],
                ["builtins", "eval"],
                ["__builtin__", "exec"],
                ["torch", "load"],
                ["torch._utils", "_rebuild_qtensor"],
                ["torch.serialization", "FloatStorage"],
                ["collections", "OrderedDict.__class__"],
                ["constructor", "constructor"]
            ] as const) {
                const evil = pickle(`c${module}\n${name}\n`, command, 0x85, "R");
                expect(await failure(() => load(pthFile(evil)))).toEqual(unsafe(`for the global "${module}.${name}"`));
            }
            expect(await readdir(folder)).toEqual([]);
        } finally {
            await rm(folder, {recursive: true});
        }
    });

    test("is refused though it comes after a whole state dict", async () => {
        const {dict, files} = smallPth();
        const evil = pickle(dict.subarray(2, -1), "cos\nsystem\n", text("true"), 0x85, "R0");
        expect(await failure(() => load(pthFile(evil, files)))).toEqual(unsafe('for the global "os.system"'));
    });

    test("is refused when it is a whole module, by PyTorch's own hand", async () => {
        const path = goldenPath("whole-module.pth");
        expect(await failure(() => MaraAgent.load(path))).toEqual(unsafe('for the global "__main__.Actor"', path));
    });

    test("is refused by every opcode that a state dict does not need", async () => {
        const needed = [..."()JKMNQRXbchjqrstu}."].map((char) => char.charCodeAt(0));
        const allowed = new Set([...needed, 0x80, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a]);
        for (let opcode = 0; opcode < 256; opcode++) {
            if (allowed.has(opcode)) continue;
            const hex = opcode.toString(16).padStart(2, "0");
            expect(await failure(() => load(pthFile(pickle("}", opcode, "os\nsystem\n"))))).toEqual(
                unsafe(`for the opcode 0x${hex} at byte 3`)
            );
        }
    });

    test("is refused by its protocol, and by state set on anything but a dict", async () => {
        const protocol = Uint8Array.of(0x80, 4, 0x7d, 0x2e);
        expect(await failure(() => load(pthFile(protocol)))).toEqual(
            unsafe("for pickle protocol 4 instead of 2, torch.save's default")
        );
        expect(await failure(() => load(pthFile(pickle("N}b"))))).toEqual(
            unsafe("to set the state of an object that is no dict")
        );
    });
});

describe("a malformed pickle", () => {
    const cases: [string, Uint8Array, string][] = [
        ["that ends early", Uint8Array.of(0x80, 2, 0x7d), "it ends after byte 3"],
        ["that is empty", new Uint8Array(), "it ends after byte 0"],
        ["that pops nothing", pickle(), "no value before byte 3"],
        ["that lacks a mark", pickle("t"), "no mark before byte 3"],
        ["that recalls what it never stored", pickle("h", 5), "nothing was stored under 5"],
        ["with a text beyond its end", pickle("X", 0xff, 0xff, 0xff, 0xff), "it ends after byte 8"],
        ["with a text that is not UTF-8", pickle("X", 1, 0, 0, 0, 0xff), "the text at byte 7 is not UTF-8"],
        ["with a global without an end", pickle("cos"), "it ends after byte 6"],
        ["with a key that is no string", pickle("}NNs"), "a dict key is no string"],
        ["with items set on a tuple", pickle(")(", text("a"), "Nu"), "items are set on a value that is no dict"],
        ["with a key without a value", pickle("}(", text("a"), "u"), "a dict entry has no value"],
        ["with a huge number", pickle(0x8a, 9, "123456789"), "a whole number of 9 bytes"],
        [
            "with an inexact number",
            pickle(0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0x7f),
            "the number 9151314442816848000 is too large"
        ],
        ["that calls a tuple", pickle("))R"), "the call before byte 5 has arguments of a wrong kind"],
        [
            "that calls a storage class",
            pickle("ctorch\nFloatStorage\n)R"),
            "the call before byte 24 has arguments of a wrong kind"
        ],
        [
            "with another persistent id",
            pickle(text("module"), "Q"),
            "a persistent id does not describe a tensor's storage"
        ]
    ];
    for (const [name, bytes, reason] of cases) {
        test(name, async () => {
            expect(await failure(() => load(pthFile(bytes)))).toEqual(malformed(reason));
        });
    }

    test("whose tensors leave their storage", async () => {
        const cases: [Partial<PickledTensor>, string][] = [
            [{shape: [9]}, "a tensor reaches item 8 of 8"],
            [{offset: 1}, "a tensor reaches item 8 of 8"],
            [{shape: [2, 4], strides: [8, 1]}, "a tensor reaches item 11 of 8"],
            [{shape: [2 ** 30, 2 ** 30], strides: [2 ** 30, 1]}, "a tensor reaches item 1152921504606847000 of 8"]
        ];
        for (const [change, reason] of cases) {
            const {dict, files} = smallPth((tensors) => Object.assign(tensors["ln.bias"] as PickledTensor, change));
            expect(await failure(() => load(pthFile(dict, files)))).toEqual(malformed(reason));
        }
        for (const change of [
            {shape: [-1]},
            {offset: -1},
            {strides: [-1]},
            {strides: [1, 1]},
            {shape: Array(9).fill(1)}
        ]) {
            const {dict, files} = smallPth((tensors) => Object.assign(tensors["ln.bias"] as PickledTensor, change));
            expect((await failure(() => load(pthFile(dict, files)))).message).toMatch(/has arguments of a wrong kind$/);
        }
    });

    test("with tuples in tuples, a million deep, and one of a wrong storage class", async () => {
        const deep = pickle(")", Buffer.alloc(900_000, 0x85));
        expect((await failure(() => load(pthFile(deep)))).code).toBe("AGENT_TENSORS");
        const id = pickle(tuple(text("storage"), text("FloatStorage")), "Q");
        expect(await failure(() => load(pthFile(id)))).toEqual(
            malformed("a persistent id does not describe a tensor's storage")
        );
    });
});
