import {basename} from "node:path";
import {inspect} from "node:util";
import type {JudgeBatch} from "../align/steer/judge.js";
import {orDemo} from "../demo/files.js";
import {MaraError} from "../errors.js";
import {fromNative, type NativeAgent, type NativeWeightType, native} from "../native.js";
import {check} from "../validation/check.js";
import {path as pathSchema} from "../validation/schemas.js";
import {parseAgentBytes, readAgentBytes, writeWhole} from "./agent-file.js";
import {hasCudaDevice, moveToCuda, reportDeviceFailure, reportNotMoved} from "./device.js";
import {
    type AgentTensor,
    checkLoadOptions,
    checkMakeOptions,
    checkSaveOptions,
    checkSource,
    float32,
    type MaraAgentOptions,
    type MaraAgentSaveOptions,
    namedTensors
} from "./options.js";
import {writeSafetensors} from "./safetensors.js";
import {readStateDict, requireFinite, type StateDict, type TensorName, tensorNames} from "./state-dict.js";
import {type AgentStudent, checkStudent, partStudent, studentEntries} from "./student.js";
import {byteSize, convert, countItems, type Tensor, toFloat32} from "./tensor.js";
import {writeTorch} from "./torch-write.js";
import {requireAgentFile} from "./value-network.js";

export type {AgentTensor, MaraAgentOptions, MaraAgentSaveOptions} from "./options.js";

const saveDtypes = {f32: "F32", f16: "F16", bf16: "BF16"} as const;

/**
 * The accept/reject network of MARA ("Token-level Accept or Reject", IJCAI 2025): per candidate token, from the language model's hidden
 * state after the final norm, the probability that the token is acceptable.
 *
 * `LayerNorm(D, eps 1e-5) → Linear(D, H) → ReLU → Linear(H, H2) → ReLU → Linear(H2, 2) → softmax`, class 1 = accept.
 *
 * Memory: the packed weights live outside the JavaScript heap. Besides them an agent keeps its tensors as loaded, in the precision of the
 * file (18 MB for a published float32 agent of width 4096), for `save` and `tensors`; `dispose` frees both.
 */
export class MaraAgent {
    /** Embedding size D of the language models that this agent reads. */
    readonly width: number;
    /** Sizes of the two hidden layers, `[H, H2]`; `[1024, 256]` in published agents. */
    readonly hiddenSizes: readonly [number, number];
    /** The file's own metadata (`__metadata__` of .safetensors); empty for .pth. Frozen. */
    readonly metadata: Readonly<Record<string, string>>;
    /** Number of parameters. */
    readonly parameters: number;

    /** @internal The file that it was loaded from, without its folder. */
    _name: string | null = null;

    private ownStudent: AgentStudent | undefined;
    private dict: StateDict | undefined;
    private handle: NativeAgent | undefined;
    private readonly options: MaraAgentOptions;
    private last: {dtype: NativeWeightType; kernel: string};

    private constructor(
        tensors: ReadonlyMap<string, Tensor>,
        metadata: Readonly<Record<string, string>>,
        options: MaraAgentOptions,
        mayKeep = false
    ) {
        const {dict, weights} = readStateDict(tensors, mayKeep);
        try {
            const {dtype = "auto", kernel, threads} = options;
            this.handle = new (native().Agent)(weights, {
                dtype,
                ...(kernel === undefined ? {} : {kernel}),
                ...(threads === undefined ? {} : {threads})
            });
        } catch (error) {
            requireFinite(dict);
            throw fromNative(error);
        }
        this.dict = dict;
        this.options = options;
        this.last = {dtype: this.handle.dtype, kernel: this.handle.kernel};
        if (options.device === "cuda") {
            try {
                moveToCuda(this.handle, weights, options.dtype ?? "auto");
            } catch (error) {
                this.handle.dispose();
                throw error;
            }
        }
        this.width = dict.width;
        this.hiddenSizes = Object.freeze([dict.hidden1, dict.hidden2] as const);
        this.metadata = Object.freeze({...metadata});
        this.parameters = [...dict.tensors.values()].reduce((sum, {shape}) => sum + countItems(shape), 0);
    }

    /**
     * Loads a `.safetensors` file or a published `.pth` (a `torch.save` state dict), told apart by content. Nothing in a `.pth` is executed.
     *
     * @param source a path, `"demo"` for the agent that ships with the package, or the bytes of such a file (not kept)
     * @throws MaraError AGENT_NOT_FOUND, AGENT_FORMAT, AGENT_UNSAFE_PICKLE, AGENT_TENSORS, AGENT_WIDTH if its student is of another width,
     * INVALID_ARGUMENT, NATIVE_ADDON, CUDA_UNAVAILABLE, CUDA_FAILED
     */
    static async load(source: string | Uint8Array, options: MaraAgentOptions = {}): Promise<MaraAgent> {
        checkSource(source);
        checkLoadOptions(options);
        try {
            const bytes =
                typeof source === "string" ? await readAgentBytes(orDemo(source, "agent")) : new Uint8Array(source);
            const file = requireAgentFile(await parseAgentBytes(bytes), typeof source === "string" ? source : "FILE");
            const {tensors, metadata, student} = partStudent(file.tensors, file.metadata);
            // Bytes that hold little else are kept as they are, which saves a copy.
            const size = [...tensors.values()].reduce((sum, tensor) => sum + byteSize(tensor), 0);
            const agent = new MaraAgent(tensors, metadata, options, 2 * size > bytes.length);
            try {
                agent.student = student;
            } catch (error) {
                agent.dispose();
                throw error;
            }
            if (typeof source === "string") agent._name = basename(orDemo(source, "agent"));
            return agent;
        } catch (error) {
            if (!(error instanceof MaraError) || !error.code.startsWith("AGENT_")) throw error;
            const from = typeof source === "string" ? source : "the agent's bytes";
            throw new MaraError(error.code, `Could not load ${from}: ${error.message}`, {cause: error});
        }
    }

    /**
     * An agent from tensors in memory, by the names of a state dict: `ln`, `linear1`, `linear2` and `output_linear`, each with `.weight`
     * (`[D]`, `[H, D]`, `[H2, H]`, `[2, H2]`) and `.bias` (`[D]`, `[H]`, `[H2]`, `[2]`). The data is copied.
     *
     * @param options those of `load`, and the metadata to save with the agent
     * @throws MaraError AGENT_TENSORS, INVALID_ARGUMENT, NATIVE_ADDON, CUDA_UNAVAILABLE, CUDA_FAILED
     */
    static fromTensors(
        tensors: Readonly<Record<string, AgentTensor>>,
        options: MaraAgentOptions & {metadata?: Readonly<Record<string, string>>} = {}
    ): MaraAgent {
        const {metadata} = checkMakeOptions(options);
        return new MaraAgent(namedTensors(tensors), metadata, options);
    }

    /** The student that predicts this agent's verdicts with one model, if there is one. `save` writes it along. See `trainStudent`. */
    get student(): AgentStudent | undefined {
        return this.ownStudent;
    }

    /**
     * Contexts that are open take it from the next token on.
     * @throws MaraError INVALID_ARGUMENT, AGENT_TENSORS, AGENT_WIDTH if it is no student for agents of this width
     */
    set student(student: AgentStudent | undefined) {
        if (student !== undefined) checkStudent(student, this.width);
        this.ownStudent = student;
    }

    /** Format of the packed weights, on the device in use. */
    get dtype(): NativeWeightType {
        return this.handle?.dtype ?? this.last.dtype;
    }

    /** Kernel in use: `"cuda"`, or the CPU's variant, such as `"avx2"`. */
    get kernel(): string {
        return this.handle?.kernel ?? this.last.kernel;
    }

    /**
     * Accept probabilities of K states; a state that holds a NaN gets 0. Blocks the calling thread.
     *
     * @param states K×D row-major hidden states; K may be 0
     * @returns K probabilities in [0, 1]
     * @throws MaraError AGENT_WIDTH if the length is no multiple of `width`; AGENT_DISPOSED; INVALID_ARGUMENT
     */
    score(states: Float32Array): Float32Array {
        const handle = this._native;
        this.checkStates(states);
        if (states.length === 0) return new Float32Array(0);
        try {
            return handle.score(states);
        } catch (error) {
            throw fromNative(error);
        }
    }

    /**
     * `score` off the main thread, with the same errors as rejections. `states` is copied before the call returns, so it may change or be
     * transferred at once. An agent disposed meanwhile still finishes the call.
     */
    async scoreAsync(states: Float32Array): Promise<Float32Array> {
        const handle = this._native;
        this.checkStates(states);
        if (states.length === 0) return new Float32Array(0);
        try {
            const probabilities = await handle.scoreAsync(states);
            reportDeviceFailure(handle);
            return probabilities;
        } catch (error) {
            throw fromNative(error);
        }
    }

    /** `scoreAsync` of the batch's states: an agent is a `Judge` too, though as `agent` it is asked on the decode thread, which is faster. */
    async judge({states}: Pick<JudgeBatch, "states">): Promise<Float32Array> {
        return await this.scoreAsync(states);
    }

    /**
     * Writes a `.safetensors` file with the agent's tensors, its metadata and its student, or a `.pth` file with its tensors alone. It is
     * written beside `path` and renamed, so that a failure leaves nothing half-written.
     *
     * @throws MaraError WRITE_FAILED; AGENT_DISPOSED; INVALID_ARGUMENT, also if a weight is beyond the range of `dtype`; AGENT_TENSORS if the
     * student's tensors were changed to what no student has
     */
    async save(path: string, options: MaraAgentSaveOptions = {}): Promise<void> {
        check(pathSchema(), path, "path");
        const {dtype, format} = checkSaveOptions(options);
        const tensors = new Map<string, Tensor>();
        for (const [name, tensor] of this.stateDict.tensors) {
            tensors.set(name, dtype === undefined ? tensor : convert(name, tensor, saveDtypes[dtype]));
        }
        if ((format ?? (path.endsWith(".pth") ? "pth" : "safetensors")) === "pth") {
            await writeWhole(path, writeTorch(tensors));
            return;
        }
        if (this.ownStudent !== undefined) checkStudent(this.ownStudent, this.width);
        const student = studentEntries(this.ownStudent);
        for (const [name, tensor] of student.tensors) tensors.set(name, tensor);
        await writeWhole(path, writeSafetensors(tensors, {...this.metadata, ...student.metadata}));
    }

    /**
     * Copies of the tensors as loaded, widened to float32, by the names that `fromTensors` takes.
     * @throws MaraError AGENT_DISPOSED
     */
    tensors(): Record<TensorName, AgentTensor> {
        const dict = this.stateDict;
        const entries = tensorNames.map((name) => {
            const tensor = dict.tensors.get(name) as Tensor & {dtype: "F32"};
            return [name, {shape: [...tensor.shape], data: toFloat32(tensor)}];
        });
        return Object.fromEntries(entries) as Record<TensorName, AgentTensor>;
    }

    /** True once `dispose` was called. */
    get disposed(): boolean {
        return this.handle === undefined;
    }

    /** Frees the weights once no running call uses them. Further calls of `dispose` do nothing; sizes and metadata stay readable. */
    dispose(): void {
        this.last = {dtype: this.dtype, kernel: this.kernel};
        this.handle?.dispose();
        this.handle = undefined;
        this.dict = undefined;
    }

    /** @hidden */
    [Symbol.dispose](): void {
        this.dispose();
    }

    /** @internal One line for `console.log`. */
    [inspect.custom](): string {
        const [hidden1, hidden2] = this.hiddenSizes;
        const weights = this.disposed ? "disposed" : `${this.dtype} weights on ${this.kernel}`;
        return `MaraAgent {${this.width} → ${hidden1} → ${hidden2} → 2, ${this.parameters.toLocaleString("en-US")} parameters, ${weights}}`;
    }

    /**
     * The native object, for the decoding code.
     * @internal
     * @throws MaraError AGENT_DISPOSED
     */
    get _native(): NativeAgent {
        return this.handle ?? throwDisposed();
    }

    /**
     * Moves an agent whose device is "auto" to CUDA, for models that run there. A failure to move is told once, as a warning.
     * @internal
     */
    _preferCuda(): void {
        const {device = "auto", dtype = "auto"} = this.options;
        if (device !== "auto" || dtype === "int8" || this.kernel === "cuda" || !hasCudaDevice()) return;
        const handle = this._native;
        if (handle.deviceFailure !== undefined) return;
        try {
            moveToCuda(handle, readStateDict(this.stateDict.tensors).weights, dtype);
        } catch (error) {
            reportNotMoved(error);
        }
    }

    private get stateDict(): StateDict {
        return this.dict ?? throwDisposed();
    }

    private checkStates(states: Float32Array): void {
        check(float32, states, "states");
        if (states.length % this.width !== 0) {
            throw new MaraError(
                "AGENT_WIDTH",
                `Expected states of ${this.width} values each but received ${states.length} values, which is no multiple of it`
            );
        }
    }
}

function throwDisposed(): never {
    throw new MaraError("AGENT_DISPOSED", "The agent was disposed");
}
