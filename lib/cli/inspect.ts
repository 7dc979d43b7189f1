/** `mara inspect AGENT`: the contents of an agent's or a value network's file, and the models that it fits. */

import {Command} from "commander";
import {MaraAgent} from "../agent/agent.js";
import {type AgentFile, parseAgentBytes, readAgentBytes} from "../agent/agent-file.js";
import {isStudentTensor} from "../agent/student.js";
import {saysValueNetwork} from "../agent/value-network.js";
import {trainedWith} from "../align/candidate-options.js";
import {orDemo} from "../demo/files.js";
import {fileHash} from "../file-hash.js";
import {formatInteger} from "../plural.js";
import {visible} from "../visible.js";
import {bytes, facts, painter, terminal} from "./format.js";
import {inspectNetwork} from "./inspect-network.js";
import {
    describeTensor,
    type InspectedModel,
    type InspectOptions,
    modelRow,
    readWidth,
    type TensorFacts,
    tensorLines
} from "./inspect-parts.js";
import {printJson, printLines} from "./output.js";
import {resolveModel} from "./pair.js";
import {type StudentFacts, studentFacts, studentRows} from "./student-facts.js";

interface AgentDescription {
    path: string;
    format: "pth" | "safetensors";
    fileBytes: number;
    width: number;
    hiddenSizes: readonly [number, number];
    parameters: number;
    /** The dtypes as they are in the file. */
    dtypes: string[];
    metadata: Readonly<Record<string, string>>;
    /** Null where the file does not say; a text where it gives an impossible value. */
    trainedWith: ReturnType<typeof trainedWith> | string | null;
    kernel: {name: string; dtype: string; bytes: number};
    /** `fits`, with --model: whether it was made for that file. */
    student?: StudentFacts & {fits?: boolean};
    tensors: TensorFacts[];
    model?: InspectedModel;
}

const help = `
An agent fits every model whose embedding size is its width (llama.embedding_length in the .gguf file).

--json prints one object: path, format, fileBytes, width, hiddenSizes, parameters, dtypes, metadata, trainedWith,
kernel {name, dtype, bytes}, tensors [{name, dtype, shape, min, max, mean}], student {model, labels, heldOutAgreement,
heldOutR2, decided} if there is one, and model {path, width, fits} with --model. Of a value network
(mara train --method value): path, format, fileBytes, width, parameters, valueNetwork {model, candidates, training,
heldOut}, tensors, and model {path, width, fits, trainedOn} with --model.

Examples:
  $ mara inspect agent.safetensors
  $ mara inspect agent.pth --json
  $ mara inspect agent.safetensors --model model.gguf     does it fit?`;

export function inspectCommand(): Command {
    return new Command("inspect")
        .description("Show an agent's or a value network's sizes, tensors, metadata, and which models it fits")
        .argument("<agent>", "a .safetensors or .pth file")
        .option("-m, --model <path>", "a .gguf file to check the agent's width against")
        .option("--json", "print one JSON object")
        .addHelpText("after", help)
        .action(inspect);
}

async function inspect(path: string, options: InspectOptions): Promise<void> {
    // `MaraAgent.load` says why a file cannot be read.
    const stored = await read(path).catch(() => undefined);
    if (stored !== undefined && saysValueNetwork(stored.file.metadata)) {
        await inspectNetwork(path, options);
        return;
    }
    const agent = await MaraAgent.load(path);
    const {content, file} = stored ?? (await read(path));
    const model = options.model === undefined ? undefined : await readWidth(options.model);
    const student = studentFacts(agent);
    const description: AgentDescription = {
        path,
        format: content[0] === 0x50 ? "pth" : "safetensors",
        fileBytes: content.length,
        width: agent.width,
        hiddenSizes: agent.hiddenSizes,
        parameters: agent.parameters,
        dtypes: dtypesOf(file),
        metadata: agent.metadata,
        trainedWith: readTrainedWith(agent),
        kernel: {name: agent.kernel, dtype: agent.dtype, bytes: agent._native.bytes},
        ...(student === undefined ? {} : {student: {...student, ...(await studentFits(student, options.model))}}),
        tensors: tensorFacts(agent, file),
        ...(model === undefined ? {} : {model: {...model, fits: model.width === agent.width}})
    };
    agent.dispose();
    if (options.json) printJson(description);
    else printLines(draw(description));
}

async function read(path: string): Promise<{content: Uint8Array; file: AgentFile}> {
    const content = await readAgentBytes(orDemo(path, "agent"));
    return {content, file: await parseAgentBytes(content)};
}

function dtypesOf({tensors}: AgentFile): string[] {
    const own = [...tensors].filter(([name]) => !isStudentTensor(name));
    return [...new Set(own.map(([, {dtype}]) => dtype.toLowerCase()))];
}

function readTrainedWith(agent: MaraAgent): AgentDescription["trainedWith"] {
    try {
        const settings = trainedWith(agent);
        return Object.keys(settings).length === 0 ? null : settings;
    } catch (error) {
        return (error as Error).message;
    }
}

/** Reads the whole file, for its hash. */
async function studentFits({model}: StudentFacts, path: string | undefined): Promise<{fits?: boolean}> {
    if (path === undefined) return {};
    const sha256 = await fileHash(await resolveModel(path), "MODEL_NOT_FOUND");
    return {fits: sha256 === model};
}

function tensorFacts(agent: MaraAgent, file: AgentFile): TensorFacts[] {
    return Object.entries(agent.tensors()).map(([name, {shape, data}]) => {
        // In the file the names may have a common prefix.
        const stored = [...file.tensors].find(([stored]) => stored === name || stored.endsWith(`.${name}`))?.[1];
        const dtype = (stored?.dtype ?? "f32").toLowerCase();
        return describeTensor(name, dtype, {shape, data});
    });
}

/** Describes the settings that are in force where nothing else is asked for. */
function describeUse(trained: AgentDescription["trainedWith"]): string {
    if (typeof trained === "string") return visible(trained);
    if (trained === null) return "the defaults: the file does not say what it was trained with";
    const {threshold, ...candidates} = trained;
    const parts = Object.entries({threshold, ...candidates}).filter(([, value]) => value !== undefined);
    return `as trained: ${parts.map(([name, value]) => `${name} ${value}`).join(", ")}`;
}

function draw({model, kernel, tensors, student, ...agent}: AgentDescription): string[] {
    const paint = painter(terminal().color);
    const [hidden1, hidden2] = agent.hiddenSizes;
    const rows: [string, string][] = [
        ["file", `${agent.format}, ${bytes(agent.fileBytes)}, ${agent.dtypes.join(" and ")}`],
        ["width", `${agent.width}: fits models whose embedding size is ${agent.width}`],
        ["network", `${agent.width} → ${hidden1} → ${hidden2} → 2, ${formatInteger(agent.parameters)} parameters`],
        ["in use", describeUse(agent.trainedWith)],
        ["kernel", `${kernel.name} with ${kernel.dtype} weights, ${bytes(kernel.bytes)} in memory`]
    ];
    if (model !== undefined) rows.push(modelRow(model, paint));
    const metadata = Object.entries(agent.metadata).map(
        ([name, value]) => [visible(name, {max: 60}), visible(value, {max: 300})] as const
    );
    const verdicts: [string, string][] = student === undefined ? [] : studentRows(student);
    if (student !== undefined) {
        const made = student.fits === undefined ? "" : student.fits ? " (this one)" : paint("red", " (not this one)");
        verdicts.unshift(["made for", `the model of SHA-256 ${student.model.slice(0, 12)}…${made}`]);
    }
    return [
        paint("bold", visible(agent.path)),
        ...facts(rows, paint),
        ...(verdicts.length > 0 ? ["", paint("bold", "Student"), ...facts(verdicts, paint)] : []),
        ...(metadata.length > 0 ? ["", paint("bold", "Metadata"), ...facts(metadata, paint)] : []),
        ...tensorLines(tensors, paint)
    ];
}
