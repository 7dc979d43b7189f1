/**
 * A student beside an agent's tensors: a small network that predicts the agent's verdict on a candidate before the candidate is
 * decoded, from the last token's hidden state and the candidate's embedding. docs/design.md has the network.
 */
import {z} from "zod";
import {MaraError} from "../errors.js";
import {check} from "../validation/check.js";
import {type AgentTensor, float32} from "./options.js";
import {type FloatDtype, isFloatDtype, quote, quoteAll, type Tensor, tensorOf, toFloat32} from "./tensor.js";

/** Sizes of every student: outputs of the two projections, units of the hidden layer, inputs of that layer. */
export const studentSizes = {projected: 64, hidden: 128, features: 3 * 64 + 2} as const;

/** Bounds of the logarithm of a student's standard deviation. */
export const logSigmaBounds = {min: -5, max: 3} as const;

/** The most rows of a calibration. */
export const maxCalibration = 4096;

/** Tensors of the network alone, which value networks have too. */
export const networkTensorNames = [
    "norm.weight",
    "norm.bias",
    "hidden.weight",
    "hidden.bias",
    "embedding.weight",
    "embedding.bias",
    "fc1.weight",
    "fc1.bias",
    "fc2.weight",
    "fc2.bias"
] as const;
const studentTensorNames = [...networkTensorNames, "calibration"] as const;

export type NetworkTensorName = (typeof networkTensorNames)[number];

/** Names of a student's tensors in an agent's file, without `student.` in front. */
export type StudentTensorName = (typeof studentTensorNames)[number];

/** A student as agent files hold it, for one agent and one model. */
export interface AgentStudent {
    /** SHA-256 of the model's file, in hexadecimal. */
    readonly model: string;
    readonly activation: "relu";
    /** Share of the verdicts on held-out prompts in which student and agent agree, at the agent's own threshold. From 0 to 1. */
    readonly heldOutAgreement: number;
    /** Share of the variance of the agent's logits that the student explains on held-out prompts. At most 1. */
    readonly heldOutR2: number;
    /** Verdicts that it was fitted to. */
    readonly labels: number;
    /** Float32. `calibration` has rows of student's mean, standard deviation and the agent's logit, of held-out verdicts. */
    readonly tensors: Readonly<Record<StudentTensorName, AgentTensor>>;
}

const prefix = "student.";

/** True for the tensors of an agent file that are a student's. */
export const isStudentTensor = (name: string) => name.startsWith(prefix);

export const studentMetadata = "mara.student";
const version = 1;

const share = "a number from 0 to 1";
const sha256 = "a SHA-256 in hexadecimal";
const descriptionFields = {
    model: z.string(sha256).regex(/^[0-9a-f]{64}$/, sha256),
    activation: z.literal("relu", '"relu"'),
    heldOutAgreement: z.number(share).min(0, share).max(1, share),
    heldOutR2: z.number("a number of at most 1").max(1, "a number of at most 1"),
    labels: z.int("a whole number").min(0, "a whole number")
};
const descriptionSchema = z.object({version: z.literal(version), ...descriptionFields});
const studentSchema = z.object(
    {
        ...descriptionFields,
        tensors: z.record(
            z.enum(studentTensorNames),
            z.object(
                {shape: z.array(z.int("a size").min(1, "a size"), "an array of sizes"), data: float32},
                "{shape, data}"
            ),
            "an object of tensors"
        )
    },
    "a student"
);

function shapesOf(width: number): Record<NetworkTensorName, number[]> {
    const {projected, hidden, features} = studentSizes;
    return {
        "norm.weight": [width],
        "norm.bias": [width],
        "hidden.weight": [projected, width],
        "hidden.bias": [projected],
        "embedding.weight": [projected, width],
        "embedding.bias": [projected],
        "fc1.weight": [hidden, features],
        "fc1.bias": [hidden],
        "fc2.weight": [2, hidden],
        "fc2.bias": [2]
    };
}

/** A file's tensors and metadata without its student, and that student. */
export interface Parted {
    tensors: Map<string, Tensor>;
    metadata: Record<string, string>;
    student: AgentStudent | undefined;
}

/**
 * Takes a student, if there is one, out of an agent file.
 * @throws MaraError AGENT_TENSORS where the file has a student that is not whole
 */
export function partStudent(tensors: ReadonlyMap<string, Tensor>, metadata: Readonly<Record<string, string>>): Parted {
    const {[studentMetadata]: described, ...otherMetadata} = metadata;
    const agent = new Map<string, Tensor>();
    const own = new Map<string, Tensor>();
    for (const [name, tensor] of tensors)
        if (isStudentTensor(name)) own.set(name.slice(prefix.length), tensor);
        else agent.set(name, tensor);
    if (own.size === 0 && described === undefined) return {tensors: agent, metadata: otherMetadata, student: undefined};
    const description = describe(described);
    const missing = studentTensorNames.filter((name) => !own.has(name));
    const unknown = [...own.keys()].filter((name) => !studentTensorNames.some((known) => known === name));
    if (missing.length > 0) throw wrong(`it lacks ${quoteAll(missing)}`);
    if (unknown.length > 0) throw wrong(`it has the unknown tensors ${quoteAll(unknown)}`);
    const read = {} as Record<StudentTensorName, AgentTensor>;
    for (const name of studentTensorNames) {
        const tensor = own.get(name) as Tensor;
        if (!isFloatDtype(tensor.dtype)) throw wrong(`${quote(name)} has dtype ${tensor.dtype}, which is no float`);
        read[name] = {shape: [...tensor.shape], data: toFloat32(tensor as Tensor & {dtype: FloatDtype})};
    }
    checkTensors(read);
    const {version: _, ...rest} = description;
    return {tensors: agent, metadata: otherMetadata, student: {...rest, tensors: read}};
}

/** Tensors and metadata of a student for an agent file; none without one. */
export function studentEntries(student: AgentStudent | undefined): {
    tensors: [string, Tensor][];
    metadata: Record<string, string>;
} {
    if (student === undefined) return {tensors: [], metadata: {}};
    const {tensors, ...description} = student;
    return {
        tensors: studentTensorNames.map((name) => {
            const {shape, data} = tensors[name];
            return [prefix + name, tensorOf(shape, data)];
        }),
        metadata: {[studentMetadata]: JSON.stringify({version, ...description})}
    };
}

/** @throws MaraError INVALID_ARGUMENT if it is no student, AGENT_TENSORS if its tensors are not those of one, AGENT_WIDTH */
export function checkStudent(student: AgentStudent, width: number): void {
    check(studentSchema, student, "student");
    checkTensors(student.tensors);
    const own = student.tensors["norm.weight"].data.length;
    if (own !== width)
        throw new MaraError("AGENT_WIDTH", `The student's width ${own} differs from the agent's width ${width}`);
}

function checkTensors(tensors: Readonly<Record<StudentTensorName, AgentTensor>>): void {
    const width = tensors["norm.weight"].data.length;
    const [rows = 0] = tensors.calibration.shape;
    if (rows < 1 || rows > maxCalibration) throw wrong(`its calibration has ${rows} rows, not 1 to ${maxCalibration}`);
    const flaw = checkNetwork(tensors, width) ?? flawOf("calibration", tensors.calibration, [rows, 3]);
    if (flaw !== undefined) throw wrong(flaw);
    const {data} = tensors.calibration;
    for (let row = 0; row < rows; row++)
        if (!((data[3 * row + 1] as number) > 0))
            throw wrong(`row ${row} of its calibration has no standard deviation above 0`);
}

/** Names the first fault of the tensors of a network for states of this width; gives undefined if they are right. */
export function checkNetwork(
    tensors: Readonly<Record<NetworkTensorName, AgentTensor>>,
    width: number
): string | undefined {
    const shapes = shapesOf(width);
    for (const name of networkTensorNames) {
        const flaw = flawOf(name, tensors[name], shapes[name]);
        if (flaw !== undefined) return flaw;
    }
    return undefined;
}

function flawOf(name: string, {shape, data}: AgentTensor, expected: readonly number[]): string | undefined {
    if (shape.join() !== expected.join())
        return `${quote(name)} has shape [${shape.join(", ")}] but [${expected.join(", ")}] was expected`;
    return data.every(Number.isFinite) ? undefined : `${quote(name)} holds a value that is not finite`;
}

function describe(text: string | undefined): z.infer<typeof descriptionSchema> {
    if (text === undefined) throw wrong(`the metadata "${studentMetadata}" is missing`);
    let value: unknown;
    try {
        value = JSON.parse(text);
    } catch {
        throw wrong(`the metadata "${studentMetadata}" is not JSON`);
    }
    const parsed = descriptionSchema.safeParse(value);
    if (parsed.success) return parsed.data;
    const path = parsed.error.issues[0]?.path.join(".") || "the whole";
    throw wrong(`the metadata "${studentMetadata}" is not as this release writes it (${quote(path)})`);
}

function wrong(text: string): MaraError {
    return new MaraError("AGENT_TENSORS", `The student in the file cannot be read: ${text}`);
}
