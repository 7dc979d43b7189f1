// node run-addon.mjs FILE: loads one addon file and holds every kernel it offers on this processor to the golden data. The same on every
// platform, also under qemu and wine, so it uses nothing but Node. Prints one line of JSON; exits with 1 if anything is wrong.
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {fileURLToPath} from "node:url";

const require = createRequire(import.meta.url);
/** As in test/agent/golden.test.ts: against float64, with the weights packed in each type. */
const tolerances = {f32: 1e-5, f16: 0.002, bf16: 0.02, int8: 0.06};
/** The golden state without variance, where float32's rounding is divided by sqrt(1e-5). */
const constantState = 31;

const golden = (name) => readSafetensors(fileURLToPath(new URL(`../golden/${name}`, import.meta.url)));
const agent = golden("w64.agent.safetensors");
const {states, accept} = golden("w64.cases.safetensors");
const weights = {
    width: 64,
    hidden1: 128,
    hidden2: 32,
    lnWeight: agent["ln.weight"],
    lnBias: agent["ln.bias"],
    w1: agent["linear1.weight"],
    b1: agent["linear1.bias"],
    w2: agent["linear2.weight"],
    b2: agent["linear2.bias"],
    w3: agent["output_linear.weight"],
    b3: agent["output_linear.bias"]
};

/** As the addon's constructor takes the weights of a layer. */
const matrix = (values, columns) => {
    return {dtype: "F32", data: new Uint8Array(values.buffer), offset: 0, rowStride: columns, columnStride: 1};
};
const given = {...weights, w1: matrix(weights.w1, 64), w2: matrix(weights.w2, 128)};

function readSafetensors(path) {
    const bytes = readFileSync(path);
    const size = Number(bytes.readBigUInt64LE(0));
    const {__metadata__, ...header} = JSON.parse(bytes.toString("utf8", 8, 8 + size));
    return Object.fromEntries(
        Object.entries(header).map(([name, {dtype, data_offsets}]) => {
            const [from, to] = data_offsets.map((offset) => 8 + size + offset);
            const {buffer} = new Uint8Array(bytes.subarray(from, to));
            return [name, dtype === "F64" ? new Float64Array(buffer) : new Float32Array(buffer)];
        })
    );
}

function worst(probabilities, withConstantState) {
    const differences = Array.from(probabilities, (value, i) => Math.abs(value - accept[i]));
    if (differences.length !== accept.length || differences.some(Number.isNaN)) return Number.POSITIVE_INFINITY;
    return Math.max(...differences.filter((_, i) => withConstantState || i !== constantState));
}

const addon = require(process.argv[2]);
const problems = [];
const errors = {};
for (const kernel of addon.kernels()) {
    errors[kernel] = {};
    for (const [dtype, tolerance] of Object.entries(tolerances)) {
        const native = new addon.Agent(given, {dtype, kernel, threads: 2});
        const [now, later] = [native.score(states), await native.scoreAsync(states)];
        native.dispose();
        errors[kernel][dtype] = Number(worst(now, false).toExponential(1));
        if (!(worst(now, false) <= tolerance) || !(worst(now, true) <= Math.max(tolerance, 1e-4)))
            problems.push(`kernel ${kernel} with ${dtype} weights is off by ${worst(now, true)}`);
        if (now.some((value, i) => value !== later[i]))
            problems.push(`${kernel} ${dtype}: scoreAsync differs from score`);
    }
}
if (!("reference" in errors)) problems.push("the reference kernel is missing");

// The learner starts from the same network: the cross-entropy of "accept" everywhere is known, and a step must lower it.
const order = ["lnWeight", "lnBias", "w1", "b1", "w2", "b2", "w3", "b3"];
const learner = new addon.Learner({
    ...{width: 64, hidden1: 128, hidden2: 32, seed: 1, threads: 2, batchSize: 16, replayCapacity: 64},
    ...{gamma: 0.9, tau: 0.005, actorLearningRate: 1e-3, criticLearningRate: 1e-3, alphaLearningRate: 1e-3},
    ...{initialAlpha: 0.1, targetEntropy: 0.5, automaticAlpha: true, gradientClip: 1},
    ...{sharedCritics: false, criticLossScale: 1, targetEvery: 1, linearAlphaLoss: false, replacement: true}
});
learner.setArray(0, Float32Array.from(order.flatMap((name) => [...weights[name]])));
const step = () =>
    learner.fit(states, new Uint8Array(accept.length).fill(1), new Float32Array(accept.length).fill(1), 1e-3);
const crossEntropy = accept.reduce((sum, probability) => sum - Math.log(probability), 0) / accept.length;
const losses = [(await step()).loss, (await step()).loss];
learner.dispose();
if (!(Math.abs(losses[0] - crossEntropy) <= 1e-4 * crossEntropy))
    problems.push(`the learner's loss is ${losses[0]}, not ${crossEntropy}`);
if (!(losses[1] < losses[0])) problems.push(`a step of the learner took its loss from ${losses.join(" to ")}`);

// C++ exceptions must become JavaScript's, whatever runtime library the file was linked with.
for (const [name, create] of [
    ["INVALID_ARGUMENT", () => new addon.Agent({}, {})],
    ["LANES_UNAVAILABLE", () => new addon.LaneContext({}, {}, {}, 1, 1)]
]) {
    try {
        create();
        problems.push(`no ${name} was thrown`);
    } catch (error) {
        if (!error.message.startsWith(`${name}: `)) problems.push(`${name} became ${error.message}`);
    }
}

console.log(JSON.stringify({ok: problems.length === 0, node: process.version, arch: process.arch, errors, problems}));
process.exitCode = problems.length === 0 ? 0 : 1;
