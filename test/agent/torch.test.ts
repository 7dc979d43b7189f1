import {zipSync} from "fflate";
import {describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {
    failure,
    goldenPath,
    int,
    type PickledTensor,
    pickle,
    pickledTensor,
    pthFile,
    smallPth,
    smallTensors,
    text,
    zip64File
} from "./helpers.js";

const load = (bytes: Uint8Array): Promise<MaraAgent> => MaraAgent.load(bytes);
const invalid = (reason: string) => ({
    code: "AGENT_FORMAT",
    message: `Could not load the agent's bytes: This is not a valid .pth file: ${reason}`
});
describe("a .pth file", () => {
    test("gives the tensors it was written with", async () => {
        const {dict, files} = smallPth();
        using agent = await load(pthFile(dict, files));
        expect(agent.tensors()).toEqual(smallTensors());
    });

    test("may be big-endian", async () => {
        const {dict, files} = smallPth((_, data) => {
            for (const bytes of Object.values(data)) Buffer.from(bytes.buffer).swap32();
        });
        using agent = await load(pthFile(dict, {...files, "agent/byteorder": Buffer.from("big")}));
        expect(agent.tensors()).toEqual(smallTensors());
    });

    test("may be compressed", async () => {
        const {dict, files} = smallPth();
        using agent = await load(zipSync({"agent/data.pkl": dict, ...files}, {level: 9}));
        expect(agent.tensors()).toEqual(smallTensors());
    });

    test("may be a zip64 archive", async () => {
        const {dict, files} = smallPth();
        using agent = await load(zip64File({"agent/data.pkl": dict, ...files}));
        expect(agent.tensors()).toEqual(smallTensors());
    });

    test("may hold its files at the top of the archive", async () => {
        const {dict, files} = smallPth();
        const flat = Object.entries(files).map(([name, bytes]) => [name.replace("agent/", ""), bytes]);
        using agent = await load(zipSync({"data.pkl": dict, ...Object.fromEntries(flat)}, {level: 0}));
        expect(agent.tensors()).toEqual(smallTensors());
    });

    test("may nest its state dict, with numbers beside it", async () => {
        const {dict, files} = smallPth();
        const inner = dict.subarray(2, -1);
        const nested = pickle("}(", text("epoch"), int(3), text("model"), "}(", text("state_dict"), inner, "uu");
        using agent = await load(pthFile(nested, files));
        expect(agent.tensors()).toEqual(smallTensors());
    });

    test("of two dicts or of none is refused", async () => {
        const {dict, files} = smallPth();
        const inner = dict.subarray(2, -1);
        const two = pickle("}(", text("actor"), inner, text("critic"), inner, "u");
        expect(await failure(() => load(pthFile(two, files)))).toEqual({
            code: "AGENT_TENSORS",
            message:
                'Could not load the agent\'s bytes: It holds several dicts ("actor", "critic"): save the actor\'s state dict alone'
        });
        for (const none of [pickle("N"), pickle("}(", text("epoch"), int(3), "u"), pickle(int(1))]) {
            expect(await failure(() => load(pthFile(none)))).toEqual({
                code: "AGENT_TENSORS",
                message:
                    "Could not load the agent's bytes: It holds no state dict: save one with torch.save(actor.state_dict(), path)"
            });
        }
        const mixed = pickle(
            "}(",
            text("epoch"),
            int(3),
            text("w"),
            pickledTensor({key: "0", items: 1, shape: [1]}),
            "u"
        );
        expect(await failure(() => load(pthFile(mixed, files)))).toEqual({
            code: "AGENT_TENSORS",
            message: 'Could not load the agent\'s bytes: Entries next to the tensors are no tensors: "epoch"'
        });
    });

    test("with integer weights is refused by the tensor's name", async () => {
        const {dict, files} = smallPth((tensors) => {
            (tensors["linear2.bias"] as PickledTensor).storage = "IntStorage";
        });
        expect(await failure(() => load(pthFile(dict, files)))).toEqual({
            code: "AGENT_TENSORS",
            message:
                'Could not load the agent\'s bytes: Tensor "linear2.bias" has dtype I32 but F32, F16, BF16 or F64 was expected'
        });
    });

    test("in the format before PyTorch 1.6 says how to save it again", async () => {
        const path = goldenPath("legacy.pth");
        expect(await failure(() => MaraAgent.load(path))).toEqual({
            code: "AGENT_FORMAT",
            message:
                `Could not load ${path}: It is a bare pickle, the format of torch.save before PyTorch 1.6. ` +
                "Save it again with a newer PyTorch: torch.save(torch.load(path, weights_only=True), path)"
        });
    });
});

describe("a damaged or hostile archive", () => {
    test("without a pickle, or with two", async () => {
        const pickles = (count: number) => invalid(`it holds ${count} files named data.pkl instead of one`);
        expect(await failure(() => load(zipSync({other: new Uint8Array(3)})))).toEqual(pickles(0));
        const two = pthFile(pickle("}"), {"other/data.pkl": pickle("}")});
        expect(await failure(() => load(two))).toEqual(pickles(2));
    });

    test("with a storage missing, short, or of an unknown byte order", async () => {
        const {dict, files} = smallPth();
        const {"agent/data/1": _, ...without} = files;
        expect(await failure(() => load(pthFile(dict, without)))).toEqual(
            invalid('the bytes of "ln.bias" (data/1) are missing')
        );
        const short = {...files, "agent/data/1": new Uint8Array(31)};
        expect(await failure(() => load(pthFile(dict, short)))).toEqual(
            invalid('data/1 has 31 bytes instead of the 32 of "ln.bias"')
        );
        const middle = {...files, "agent/byteorder": Buffer.from("middle")};
        expect(await failure(() => load(pthFile(dict, middle)))).toEqual(invalid('its byte order is "middle"'));
    });

    test("whose views would take more than their storages", async () => {
        const {dict, files} = smallPth((tensors) => {
            Object.assign(tensors["linear1.weight"] as PickledTensor, {shape: [24, 25], strides: [1, 1]});
        });
        expect(await failure(() => load(pthFile(dict, files)))).toEqual(
            invalid("its tensors take 2640 bytes, but their storages have 432")
        );
    });

    test("with one storage described in two ways", async () => {
        const {dict, files} = smallPth((tensors) => {
            Object.assign(tensors["ln.bias"] as PickledTensor, {key: "0", items: 16, storage: "HalfStorage"});
        });
        expect(await failure(() => load(pthFile(dict, files)))).toEqual(
            invalid('data/0 is described in two ways, one of them by "ln.bias"')
        );
    });

    test("whose entries declare more than they can hold", async () => {
        const {dict, files} = smallPth();
        const bomb = pthFile(dict, files);
        const pickleEntry = Buffer.from(bomb.buffer).lastIndexOf("agent/data.pkl") - 46;
        const view = new DataView(bomb.buffer);
        view.setUint32(pickleEntry + 24, 2 ** 31, true);
        expect(await failure(() => load(bomb))).toEqual(
            invalid('"agent/data.pkl" declares 2147483648 bytes, more than the limit of 1048576')
        );
        view.setUint32(pickleEntry + 24, 999_999, true);
        expect(await failure(() => load(bomb))).toEqual(
            invalid(`"agent/data.pkl" declares 999999 bytes stored in ${dict.length}`)
        );
        const packed = zipSync({"agent/data.pkl": new Uint8Array(2 ** 21)});
        expect(await failure(() => load(packed))).toEqual(
            invalid('"agent/data.pkl" declares 2097152 bytes, more than the limit of 1048576')
        );
    });

    test("with one name twice, or with more files than any agent", async () => {
        const {dict, files} = smallPth();
        const twice = pthFile(dict, {...files, "agent/data/x": files["agent/data/1"] as Uint8Array});
        const renamed = Buffer.from(twice.buffer);
        for (let at = renamed.indexOf("agent/data/x"); at >= 0; at = renamed.indexOf("agent/data/x")) {
            renamed.write("agent/data/1", at);
        }
        expect(await failure(() => load(renamed))).toEqual(invalid('it holds "agent/data/1" twice'));
        const many = Object.fromEntries(Array.from({length: 4097}, (_, i) => [`${i}`, new Uint8Array()]));
        expect(await failure(() => load(zipSync(many)))).toEqual(invalid("it holds more than 4096 files"));
    });

    test("that claims four billion entries is refused at once", async () => {
        const {dict, files} = smallPth();
        const zip = Buffer.from(pthFile(dict, files));
        const end = zip.subarray(-22);
        const zip64 = Buffer.alloc(56);
        zip64.writeUInt32LE(0x06064b50, 0);
        zip64.writeUInt32LE(0xffffffff, 32);
        zip64.writeUInt32LE(zip.length - 22, 48);
        const locator = Buffer.alloc(20);
        locator.writeUInt32LE(0x07064b50, 0);
        locator.writeUInt32LE(zip.length - 22, 8);
        const forged = Buffer.concat([zip.subarray(0, -22), zip64, locator, end]);
        expect(await failure(() => load(forged))).toEqual(invalid("it holds more than 4096 files"));
    });
});
