/** The doctor's examination: one finding after the other, none of which stops the rest. */
import {existsSync} from "node:fs";
import {relative} from "node:path";
import type {Llama, LlamaModel} from "node-llama-cpp";
import type {AddonFile} from "../addon/files.js";
import {noDevice} from "../addon/load.js";
import {MaraAgent} from "../agent/agent.js";
import {createAlignedContext} from "../align/aligned-context.js";
import {describeCandidates} from "../align/candidate-options.js";
import type {Mode} from "../align/context-options.js";
import {resolveSettings, settingsInForce} from "../align/options.js";
import {demoAgentPath, demoName, demoThreads} from "../demo/files.js";
import {MaraError} from "../errors.js";
import {loadedAddon} from "../native.js";
import {packageRoot, packageVersion} from "../package.js";
import {plural} from "../plural.js";
import {describe} from "./failure.js";
import {isDemo, loadModel, openLlama, type PairOptions, resolveModel} from "./pair.js";
import {advisedThreads, keepThreads, measureThreads, type ThreadSpeed, threadsFile} from "./thread-choice.js";

export interface Check {
    name: string;
    status: "ok" | "warn" | "fail";
    detail: string;
    /** The remedy. */
    fix?: string;
}

export interface Report {
    /** True if aligned generation works. */
    ok: boolean;
    mode?: Mode;
    /** Why it is this mode. */
    modeReason?: string;
    versions: {package: string; node: string; nodeLlamaCpp?: string; llamaCpp?: string};
    platform: {os: string; arch: string; libc?: string};
    addon?: {path: string; origin: AddonFile["origin"]};
    kernels?: {available: string[]; chosen: string};
    /** `built` is true if there is a CUDA build of the addon; `devices` are those that answer it. */
    cuda?: {built: boolean; devices: {name: string; computeCapability: string; memory: number}[]};
    /** Speeds of the model on the CPU. More threads are left out once they made it slower. */
    threads?: {measured: ThreadSpeed[]; advised: number};
    backend?: {gpu: string; buildType: string; instructionSet: string[]};
    checks: Check[];
}

/** The versions of node-llama-cpp that lanes were seen to work on (docs/compatibility.md). Others may work, which is verified at run time. */
const testedReleases = "3.18 to 3.22";
const isTested = (version: string) => /^3\.(18|19|20|21|22)\./.test(version);
const minNode = 20;
const sampleTokens = 8;
/** A warning is due where node-llama-cpp's own number of threads reaches less than this share of the best speed. */
const slowDefault = 0.8;

export async function examine(options: PairOptions): Promise<Report> {
    const report: Report = {
        ok: false,
        versions: {package: packageVersion(), node: process.versions.node},
        platform: platform(),
        checks: []
    };
    const add = (name: string, status: Check["status"], detail: string, fix?: string) =>
        void report.checks.push({name, status, detail, ...(fix === undefined ? {} : {fix})});

    add("package", "ok", `node-llama-mara ${report.versions.package}`);
    checkNode(report, add);
    const hasAddon = checkAddon(report, add);
    const llama = await checkLlama(report, add, options.gpu);
    if (llama !== undefined) {
        try {
            const model = await checkModel(llama, add, options.model);
            if (model !== undefined) await checkThreads(report, add, model, options);
            if (hasAddon && model !== undefined) await checkDecoding(report, add, model, options);
        } finally {
            await llama.dispose();
        }
    }
    return report;
}

type Add = (name: string, status: Check["status"], detail: string, fix?: string) => void;

function platform(): Report["platform"] {
    const {platform: os, arch} = process;
    if (os !== "linux") return {os, arch};
    const {header} = process.report.getReport() as {header: {glibcVersionRuntime?: string}};
    return {os, arch, libc: header.glibcVersionRuntime === undefined ? "musl" : `glibc ${header.glibcVersionRuntime}`};
}

function checkNode({versions, platform: {os, arch, libc}}: Report, add: Add): void {
    const isRecent = Number(versions.node.split(".")[0]) >= minNode;
    const fix = isRecent ? undefined : `Install Node ${minNode} or later.`;
    add("node", isRecent ? "ok" : "fail", `${versions.node} on ${os} ${arch}${libc ? `, ${libc}` : ""}`, fix);
}

function checkAddon(report: Report, add: Add): boolean {
    try {
        const {addon, path, origin, failures} = loadedAddon();
        const available = addon.kernels();
        report.addon = {path, origin};
        add("native addon", "ok", `${origin}, ${inPackage(path)}`);
        for (const failure of failures.filter(({reason}) => reason !== noDevice))
            add("native addon", "warn", `${inPackage(failure.path)}: ${failure.reason}`);
        const chosen = process.env.MARA_KERNEL ?? available[0] ?? "none";
        report.kernels = {available, chosen};
        const isKnown = available.includes(chosen);
        add(
            "kernels",
            isKnown ? "ok" : "fail",
            `${chosen} chosen of ${available.join(", ")}`,
            isKnown ? undefined : "MARA_KERNEL names a kernel that this machine cannot run. Unset it."
        );
        checkCuda(report, add);
        return isKnown;
    } catch (error) {
        add("native addon", "fail", describe(error), "Do what the message says, then run `mara doctor` again.");
        return false;
    }
}

const inPackage = (path: string) => (path.startsWith(packageRoot) ? relative(packageRoot, path) : path);

function checkCuda(report: Report, add: Add): void {
    const devices = loadedAddon().addon.cudaDevices();
    report.cuda = {built: loadedAddon().cuda || loadedAddon().failures.some(({cuda}) => cuda), devices};
    const names = devices.map(
        ({name, computeCapability, memory}) => `${name}, ${computeCapability}, ${Math.round(memory / 2 ** 30)} GiB`
    );
    const unused = loadedAddon().failures.find(({cuda}) => cuda)?.reason;
    add("cuda", "ok", names.join("; ") || `agents compute on the CPU: ${unused ?? "this build has no CUDA kernel"}`);
}

async function checkLlama(report: Report, add: Add, gpu: string): Promise<Llama | undefined> {
    try {
        const {getModuleVersion} = await import("node-llama-cpp");
        const version = await getModuleVersion();
        report.versions.nodeLlamaCpp = version;
        const fix = isTested(version)
            ? undefined
            : `Lanes were seen to work on ${testedReleases}; other versions may run in serial mode.`;
        add("node-llama-cpp", fix === undefined ? "ok" : "warn", version, fix);
        const llama = await openLlama(gpu);
        const {release} = llama.llamaCppRelease;
        const type = llama.gpu === false ? "cpu" : llama.gpu;
        const instructionSet = [...llama.systemInfo.matchAll(/(\w+) = 1\b/g)].map(([, name]) => name as string);
        report.versions.llamaCpp = release;
        report.backend = {gpu: type, buildType: llama.buildType, instructionSet};
        add("llama.cpp", "ok", `${release}, ${llama.buildType}, ${type} backend`);
        add("instructions", "ok", instructionSet.join(" ") || "none reported");
        return llama;
    } catch (error) {
        add("llama.cpp", "fail", describe(error), "Run: npm install node-llama-cpp@^3.22.1");
        return undefined;
    }
}

async function checkModel(llama: Llama, add: Add, spec: string | undefined): Promise<LlamaModel | undefined> {
    try {
        const model = await loadModel(llama, await resolveModel(spec));
        add("model", "ok", `${isDemo(spec) ? "the demo's" : spec}, embedding size ${model.embeddingVectorSize}`);
        return model;
    } catch (error) {
        add("model", "fail", describe(error));
        return undefined;
    }
}

/** Measures on the CPU only: a GPU leaves little to threads. */
async function checkThreads(report: Report, add: Add, model: LlamaModel, {model: spec}: PairOptions): Promise<void> {
    if (model.llama.gpu !== false) return;
    try {
        const byDefault = Math.max(1, model.llama.maxThreads || model.llama.cpuMathCores);
        const measured = await measureThreads(model, byDefault);
        const advised = advisedThreads(measured);
        report.threads = {measured, advised};
        const speeds = measured.map(({threads, tokensPerSecond}) => `${threads}: ${tokensPerSecond.toFixed(1)}`);
        const found = `tokens per second by threads ${speeds.join(", ")}`;
        if (isDemo(spec)) return add("threads", "ok", `${found}; the demo's model runs on ${demoThreads}`);
        const kept = keepThreads(await resolveModel(spec), advised)
            ? `, which mara's commands take from now on (${threadsFile()})`
            : "";
        const tried = measured.find(({threads}) => threads === byDefault)?.tokensPerSecond ?? 0;
        const best = Math.max(...measured.map(({tokensPerSecond}) => tokensPerSecond));
        const fix =
            "Use the advised number in your own code: maxThreads of getLlama, or threads of createAlignedContext.";
        const isSlow = tried < slowDefault * best;
        add("threads", isSlow ? "warn" : "ok", `${found}; advised ${advised}${kept}`, isSlow ? fix : undefined);
    } catch (error) {
        add("threads", "fail", describe(error));
    }
}

/** Tries lanes first. Where they are refused, the serial mode has to prove itself. */
async function checkDecoding(report: Report, add: Add, model: LlamaModel, options: PairOptions): Promise<void> {
    const agent = await checkAgent(add, model, options);
    if (agent === undefined) return;
    try {
        const refusal = await tryMode("lanes", model, agent).then(
            (sample) => void add("lanes", "ok", `memory layout verified, ${sample}`),
            (error: unknown) => {
                if (error instanceof MaraError && error.code === "LANES_UNAVAILABLE") return describe(error);
                throw error;
            }
        );
        if (refusal === undefined) {
            report.mode = "lanes";
            report.modeReason = "the memory layout of node-llama-cpp verified";
        } else {
            add(
                "lanes",
                "warn",
                refusal,
                `Use node-llama-cpp ${testedReleases} for lanes. The serial mode works without.`
            );
            add("serial", "ok", await tryMode("serial", model, agent));
            report.mode = "serial";
            report.modeReason = refusal;
        }
        // Where llama.cpp computes on CUDA, the context has taken the agent there.
        report.kernels = {available: report.kernels?.available ?? [], chosen: agent.kernel};
        add("agent's kernel", "ok", `${agent.kernel} with ${agent.dtype} weights`);
        report.ok = report.checks.every(({status}) => status !== "fail");
    } catch (error) {
        add("generation", "fail", describe(error));
    } finally {
        agent.dispose();
    }
}

async function checkAgent(
    add: Add,
    model: LlamaModel,
    {model: spec, agent: path}: PairOptions
): Promise<MaraAgent | undefined> {
    try {
        // The demo's agent fits no other model. This examination does not depend on an agent's weights.
        const isDemoAgent = path === demoName || (path === undefined && isDemo(spec) && existsSync(demoAgentPath));
        const isGiven = path !== undefined || isDemoAgent;
        const agent = isGiven ? await MaraAgent.load(path ?? demoName) : indifferentAgent(model.embeddingVectorSize);
        const name = isDemoAgent ? "the demo's" : (path ?? "a stand-in that accepts everything");
        const {threshold, candidates} = settingsInForce(resolveSettings({agent}));
        const use = isGiven ? `; in use: threshold ${threshold}, ${describeCandidates(candidates)}` : "";
        add("agent", "ok", `${name}, width ${agent.width}${use}`);
        return agent;
    } catch (error) {
        add("agent", "fail", describe(error));
        return undefined;
    }
}

/** The smallest agent of a width; it accepts with the same probability whatever it sees. */
function indifferentAgent(width: number): MaraAgent {
    const hidden = 16;
    const zeros = (...shape: number[]) => ({shape, data: new Float32Array(shape.reduce((a, b) => a * b))});
    return MaraAgent.fromTensors({
        "ln.weight": zeros(width),
        "ln.bias": zeros(width),
        "linear1.weight": zeros(hidden, width),
        "linear1.bias": zeros(hidden),
        "linear2.weight": zeros(hidden, hidden),
        "linear2.bias": zeros(hidden),
        "output_linear.weight": zeros(2, hidden),
        "output_linear.bias": {shape: [2], data: Float32Array.of(0, 1)}
    });
}

async function tryMode(mode: Mode, model: LlamaModel, agent: MaraAgent): Promise<string> {
    const {context} = await createAlignedContext(model, {agent, mode, contextSize: 256, threads: 1});
    try {
        const sequence = context.getSequence();
        const start = performance.now();
        let count = 0;
        for await (const _ of sequence.evaluate(model.tokenize("Good day. When is")))
            if (++count >= sampleTokens) break;
        return `${plural(count, "token")} in ${Math.round(performance.now() - start)} ms`;
    } finally {
        await context.dispose();
    }
}
