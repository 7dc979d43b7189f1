import {readFileSync, statSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {describe, expect, it} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {MaraAgent} from "../../lib/index.js";
import {madeUpStudent} from "../agent/student-helpers.js";
import {expectFailure, hasDemo, mara, needsDemo, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const golden = "test/golden/w64.agent.safetensors";
const published = "test/golden/parameters.pth";

describe("mara inspect", () => {
    it("tells what is in a .safetensors file", async () => {
        const agent = await MaraAgent.load(golden);
        const {"ln.weight": norm} = agent.tensors();
        const report = JSON.parse(await succeed(["inspect", golden, "--json"]));
        expect(report).toMatchObject({
            path: golden,
            format: "safetensors",
            fileBytes: statSync(golden).size,
            width: 64,
            hiddenSizes: agent.hiddenSizes,
            parameters: agent.parameters,
            dtypes: ["f32"],
            kernel: {name: agent.kernel, dtype: agent.dtype}
        });
        expect(report.tensors).toHaveLength(8);
        expect(report.tensors[0]).toMatchObject({name: "ln.weight", dtype: "f32", shape: [64]});
        expect(report.tensors[0].min).toBe(Math.min(...norm.data));
        expect(report.tensors[0].max).toBe(Math.max(...norm.data));
        expect(report.tensors[0].mean).toBeCloseTo(norm.data.reduce((sum, value) => sum + value) / 64, 6);
    });

    it("tells the precision on disk of a .pth file, whatever its tensors are called", async () => {
        const half = JSON.parse(await succeed(["inspect", "test/golden/half.pth", "--json"]));
        expect(half).toMatchObject({format: "pth", dtypes: ["f16"], metadata: {}});
        const prefixed = JSON.parse(await succeed(["inspect", "test/golden/module-prefix.pth", "--json"]));
        expect(prefixed.tensors.map(({dtype}: {dtype: string}) => dtype)).toEqual(Array(8).fill("f32"));
    });

    it("shows people which models it fits", async () => {
        const text = await succeed(["inspect", golden]);
        expect(text).toContain("width    64: fits models whose embedding size is 64");
        expect(text).toMatch(/^ {2}output_linear\.bias +f32 +2 /m);
    });

    it.skipIf(!hasDemo)(`checks it against a model${needsDemo}`, async () => {
        const report = JSON.parse(await succeed(["inspect", golden, "--model", demoModelPath, "--json"]));
        expect(report.model).toEqual({path: demoModelPath, width: expect.any(Number), fits: false});
    });

    it("refuses what is no agent", async () => {
        expectFailure(
            await mara(["inspect", "nowhere.pth"]),
            /^Could not load nowhere\.pth: ENOENT.* \(AGENT_NOT_FOUND\)$/
        );
        expectFailure(
            await mara(["inspect", golden, "--model", "package.json"]),
            /^Could not read the model package\.json: it is no GGUF file \(MODEL_UNSUPPORTED\)$/
        );
        expectFailure(await mara(["inspect", "package.json"]), /^Could not load package\.json: .* \(AGENT_FORMAT\)$/);
    });

    it('says what a student decides, and what "auto" makes of it', async () => {
        const file = join(folder, "student.safetensors");
        const agent = await MaraAgent.load(golden);
        const shown = async (heldOutAgreement: number) => {
            agent.student = {...madeUpStudent(agent.width), heldOutAgreement};
            await agent.save(file);
            const {student} = JSON.parse(await succeed(["inspect", file, "--json"]));
            return {automatic: student.automatic, text: await succeed(["inspect", file])};
        };
        const below = await shown(0.79);
        // Both rows of its calibration agree with the agent.
        const decides =
            "\n  decides      100.0 % at agreement 0.99, 100.0 % at 0.98, 100.0 % at 0.95, 100.0 % at 0.9\n";
        expect(below.automatic).toBeNull();
        expect(below.text).toContain(
            `${decides}  "auto"       leaves it out, since fewer than 80.0 % of verdicts are alike\n`
        );
        const above = await shown(0.8);
        expect(above.automatic).toBe(0.95);
        expect(above.text).toContain(`${decides}  "auto"       asks for agreement 0.95\n`);
    });
});

describe("mara convert", () => {
    it("goes from .pth to .safetensors without loss, and back to the same numbers", async () => {
        const out = join(folder, "kept.safetensors");
        const report = JSON.parse(await succeed(["convert", published, out, "--json"]));
        const [before, after] = [await MaraAgent.load(published), await MaraAgent.load(out)];
        expect(after.tensors()).toEqual(before.tensors());
        expect(report).toEqual({
            input: {path: published, bytes: statSync(published).size},
            output: {path: out, bytes: statSync(out).size},
            dtype: "kept",
            width: before.width,
            parameters: before.parameters
        });
    });

    it("writes .pth, too", async () => {
        const out = join(folder, "agent.pth");
        await succeed(["convert", golden, out, "--dtype", "f16"]);
        const report = JSON.parse(await succeed(["inspect", out, "--json"]));
        expect(report.dtypes).toEqual(["f16"]);
        expect(readFileSync(out).subarray(0, 2).toString()).toBe("PK");
    });

    it("says what a .pth file has no place for", async () => {
        const [input, out] = [join(folder, "all.safetensors"), join(folder, "bare.pth")];
        const tensors = (await MaraAgent.load(golden)).tensors();
        const metadata = {"mara.threshold": "0.4", "mara.candidates": '{"topK":7}', "mara.seed": "1"};
        const whole = MaraAgent.fromTensors(tensors, {metadata});
        whole.student = madeUpStudent(whole.width);
        await whole.save(input);
        expect(await mara(["convert", input, out])).toMatchObject({
            code: 0,
            stderr: `mara: warning: ${out} has the agent's tensors alone. What ${input} also holds is left out: student, threshold, candidate settings\n`
        });
        const bare = await MaraAgent.load(out);
        expect([bare.tensors(), bare.student, bare.metadata]).toEqual([tensors, undefined, {}]);
        await succeed(["convert", input, join(folder, "again.safetensors")]);
    });

    it.each(["f32", "f16", "bf16"])("writes %s", async (dtype) => {
        const out = join(folder, `${dtype}.safetensors`);
        const text = await succeed(["convert", golden, out, "--dtype", dtype]);
        expect(text).toMatch(new RegExp(`^${golden} \\(51\\.22 kB\\) {2}→ {2}.* as ${dtype}\n$`));
        const report = JSON.parse(await succeed(["inspect", out, "--json"]));
        expect(report.dtypes).toEqual([dtype]);
    });

    it("overwrites only when told to", async () => {
        const out = join(folder, "precious.safetensors");
        writeFileSync(out, "precious");
        const refusal = `${out} exists already. Use --force to overwrite it. (WRITE_FAILED)`;
        expectFailure(await mara(["convert", golden, out]), refusal);
        expect(readFileSync(out, "utf8")).toBe("precious");
        await succeed(["convert", golden, out, "--force"]);
        expect((await MaraAgent.load(out)).width).toBe(64);
    });

    it("refuses unknown precisions, other formats and missing folders", async () => {
        const out = join(folder, "never.safetensors");
        expectFailure(
            await mara(["convert", golden, out, "--dtype", "int4"]),
            'Expected one of "f32", "f16", "bf16" for --dtype but received "int4" (INVALID_ARGUMENT)'
        );
        expectFailure(
            await mara(["convert", golden, "agent.onnx"]),
            'Expected a path that ends in .safetensors or .pth for OUT but received "agent.onnx" (INVALID_ARGUMENT)'
        );
        expectFailure(await mara(["convert", golden, join(folder, "no", "out.safetensors")]), /\(WRITE_FAILED\)$/);
    });
});
