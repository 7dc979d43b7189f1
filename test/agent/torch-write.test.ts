import {execFileSync} from "node:child_process";
import {mkdtemp, readFile, rm} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {afterEach, beforeEach, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {hasPython, python} from "../support/python.js";
import {smallTensors} from "./helpers.js";

let folder: string;
beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mara-agent-"));
});
afterEach(() => rm(folder, {recursive: true}));

const dtypes = ["f32", "f16", "bf16"] as const;

test.each(dtypes)("A .pth as %s holds what a .safetensors holds, and comes out the same each time", async (dtype) => {
    using agent = MaraAgent.fromTensors(smallTensors(), {metadata: {origin: "test"}});
    const [pth, other] = [join(folder, "agent.pth"), join(folder, "agent.safetensors")];
    await agent.save(pth, {dtype});
    await agent.save(other, {dtype});
    const bytes = await readFile(pth);
    using read = await MaraAgent.load(pth);
    using expected = await MaraAgent.load(other);
    expect(read.tensors()).toEqual(expected.tensors());
    expect([read.metadata, expected.metadata]).toEqual([{}, {origin: "test"}]);
    await read.save(pth);
    expect(await readFile(pth)).toEqual(bytes);
});

test("Tensors of a .pth begin at multiples of 64 bytes, as torch.save puts them, so that none is copied to be read", async () => {
    using agent = MaraAgent.fromTensors(smallTensors());
    const path = join(folder, "agent.pth");
    await agent.save(path, {dtype: "f32"});
    const file = await readFile(path);
    const tensors = Object.entries(agent.tensors());
    const places = tensors.map(([, {data}]) =>
        file.indexOf(Buffer.from(data.buffer, data.byteOffset, data.byteLength))
    );
    expect(places).toHaveLength(8);
    expect(places.filter((place) => place < 0 || place % 64 !== 0)).toEqual([]);
});

test("The format can be named against the path's ending", async () => {
    using agent = MaraAgent.fromTensors(smallTensors());
    await agent.save(join(folder, "agent.bin"), {format: "pth"});
    expect((await readFile(join(folder, "agent.bin"))).subarray(0, 2).toString()).toBe("PK");
    await agent.save(join(folder, "agent.pth"), {format: "safetensors", dtype: "f32"});
    using read = await MaraAgent.load(join(folder, "agent.pth"));
    expect(read.tensors()).toEqual(agent.tensors());
});

const script = `
import json, sys, torch
path, half = sys.argv[1:]
loaded = torch.load(path, weights_only=True, mmap=True)
network = torch.nn.ModuleDict({"ln": torch.nn.LayerNorm(8), "linear1": torch.nn.Linear(8, 6), "linear2": torch.nn.Linear(6, 4), "output_linear": torch.nn.Linear(4, 2)})
network.load_state_dict(loaded)
print(json.dumps({name: [str(t.dtype), list(t.shape), t.float().flatten().tolist()] for name, t in loaded.items()}))
`;

for (const dtype of dtypes)
    test.skipIf(!hasPython)(
        `PyTorch loads a .pth as ${dtype} with weights_only${hasPython ? "" : " (skipped: no PyTorch)"}`,
        async () => {
            using agent = MaraAgent.fromTensors(smallTensors());
            const path = join(folder, "agent.pth");
            await agent.save(path, {dtype});
            using expected = await MaraAgent.load(path);
            const found = JSON.parse(execFileSync(python, ["-c", script, path, dtype], {encoding: "utf8"}));
            const names = {f32: "torch.float32", f16: "torch.float16", bf16: "torch.bfloat16"};
            expect(found).toEqual(
                Object.fromEntries(
                    Object.entries(expected.tensors()).map(([name, {shape, data}]) => [
                        name,
                        [names[dtype], shape, [...data]]
                    ])
                )
            );
        }
    );
