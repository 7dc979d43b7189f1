import {describe, expect, it} from "vitest";
import type {Check, Report} from "../../lib/cli/doctor-checks.js";
import {hasDemo, mara, needsDemo, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const doctor = ["doctor", "--gpu", "off"];

function find({checks}: Report, name: string): Check | undefined {
    return checks.find((check) => check.name === name);
}

async function failing(args: string[], env: Record<string, string> = {}): Promise<Report> {
    const {code, stdout, stderr} = await mara([...doctor, "--json", ...args], {env});
    expect({code, stderr}).toEqual({code: 1, stderr: ""});
    return JSON.parse(stdout);
}

describe("mara doctor", () => {
    it.skipIf(!hasDemo)(`reports everything as one object${needsDemo}`, async () => {
        const report: Report = JSON.parse(await succeed([...doctor, "--json"]));
        expect(report).toMatchObject({
            ok: true,
            mode: "lanes",
            modeReason: expect.any(String),
            versions: {
                package: expect.stringMatching(/^\d/),
                node: process.versions.node,
                nodeLlamaCpp: "3.22.1",
                llamaCpp: expect.any(String)
            },
            platform: {os: process.platform, arch: process.arch},
            addon: {path: expect.stringMatching(/\.node$/), origin: expect.stringMatching(/^(prebuilt|built)$/)},
            backend: {gpu: "cpu", buildType: expect.any(String)}
        });
        expect(report.kernels?.available).toContain(report.kernels?.chosen);
        expect(report.kernels?.available).toContain("reference");
        expect(report.backend?.instructionSet.length).toBeGreaterThan(0);
        expect(new Set(report.checks.map(({status}) => status))).toEqual(new Set(["ok"]));
    });

    it.skipIf(!hasDemo)(`says so in one line to people${needsDemo}`, async () => {
        const text = await succeed(doctor);
        expect(text).toMatch(/^ok {4}lanes +memory layout verified, \d+ tokens in \d+ ms$/m);
        expect(text).toMatch(/\n\nAligned generation works, in lanes mode\.\n$/);
    });

    it("fails where the model is missing", async () => {
        const report = await failing(["--model", "nowhere.gguf"]);
        expect(report.ok).toBe(false);
        expect(find(report, "model")).toMatchObject({
            status: "fail",
            detail: expect.stringContaining("MODEL_NOT_FOUND")
        });
    });

    it("fails where the native addon is missing, and says what to do", async () => {
        const report = await failing([], {NODE_LLAMA_MARA_PREBUILD: folder});
        expect(report.addon).toBeUndefined();
        const {status, detail} = find(report, "native addon") as Check;
        expect(status).toBe("fail");
        expect(detail).toContain(`NODE_LLAMA_MARA_PREBUILD names ${folder}. Unset it`);
    });

    it("fails where MARA_KERNEL names no kernel of this machine", async () => {
        const report = await failing([], {MARA_KERNEL: "abacus"});
        expect(find(report, "kernels")).toMatchObject({status: "fail", fix: expect.stringContaining("MARA_KERNEL")});
    });

    it.skipIf(!hasDemo)(`fails where the agent does not fit${needsDemo}`, async () => {
        const report = await failing(["--agent", "test/golden/w64.agent.safetensors"]);
        expect(find(report, "generation")?.detail ?? find(report, "lanes")?.detail).toContain("AGENT_WIDTH");
    });
});
