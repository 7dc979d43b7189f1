import {inspect} from "node:util";
import {invalidArgument, MaraError} from "../errors.js";
import {fromNative, type NativeAgent, type NativeWeightType, native} from "../native.js";
import {parseAgentBytes, readAgentBytes, writeWhole} from "./agent-file.js";
import {
    type AgentDevice,
    agentDevices,
    hasCudaDevice,
    moveToCuda,
    reportDeviceFailure,
    reportNotMoved
} from "./device.js";
import {writeSafetensors} from "./safetensors.js";
import {readStateDict, type StateDict, type TensorName, tensorNames} from "./state-dict.js";
import {convert, countItems, type Tensor, tensorOf, toFloat32} from "./tensor.js";

/** How an agent's weights are packed and computed with. */
export interface MaraAgentOptions {
    /**
     * Format of the packed weights. Sums are float32 in any case. Default `"auto"`: the fastest on this machine.
     * `"int8"` is quantised per output channel.
     */
    dtype?: "auto" | NativeWeightType;
    /** Kernel variant, one of those `mara doctor` lists. Default: `MARA_KERNEL` if set, else the best that this machine runs. */
    kernel?: string;
    /**
     * Where `scoreAsync` and aligned contexts compute. `"cpu"`; `"cuda"`: on the first CUDA device, an error if that cannot be; `"auto"`
     * (default): the CPU until an aligned context of a model that runs on CUDA takes the agent, then CUDA if a device answers. `score` always
     * computes on the CPU. If a device fails later on, the CPU takes over with one warning (code CUDA_FAILED). With CUDA, dtype `"auto"` means
     * bf16 (f16 on compute capability 7.5), and `"int8"` computes on the CPU.
     */
    device?: AgentDevice;
    /** Most threads of one `score` call, from 1 to 256. Default: the machine's, at most 8. */
    threads?: number;
}

/** A row-major float32 tensor. `data.length` is the product of `shape`. */
export interface AgentTensor {
    shape: readonly number[];
    data: Float32Array;
}

export interface MaraAgentSaveOptions {
    /** Format of the tensors in the file. Default: that in which each was loaded, so nothing is lost (F64 becomes f32). */
    dtype?: "f32" | "f16" | "bf16";
}

const loadDtypes = ["auto", "f32", "f16", "bf16", "int8"] as const;
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

    private dict: StateDict | undefined;
    private handle: NativeAgent | undefined;
    private readonly options: MaraAgentOptions;
    private last: {dtype: NativeWeightType; kernel: string};

    private constructor(
        tensors: ReadonlyMap<string, Tensor>,
        metadata: Readonly<Record<string, string>>,
        options: MaraAgentOptions
    ) {
        const {dict, weights} = readStateDict(tensors);
        try {
            const {dtype = "auto", kernel, threads} = options;
            this.handle = new (native().Agent)(weights, {
                dtype,
                ...(kernel === undefined ? {} : {kernel}),
                ...(threads === undefined ? {} : {threads})
            });
        } catch (error) {
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
     * @param source a path, or the bytes of such a file (not kept)
     * @throws MaraError AGENT_NOT_FOUND, AGENT_FORMAT, AGENT_UNSAFE_PICKLE, AGENT_TENSORS, INVALID_ARGUMENT, NATIVE_ADDON, CUDA_UNAVAILABLE, CUDA_FAILED
     */
    static async load(source: string | Uint8Array, options: MaraAgentOptions = {}): Promise<MaraAgent> {
        if (typeof source !== "string" && !(source instanceof Uint8Array)) {
            throw invalidArgument("source", "a path or a Uint8Array", source);
        }
        checkOptions(options);
        try {
            const bytes = typeof source === "string" ? await readAgentBytes(source) : source;
            const {tensors, metadata} = parseAgentBytes(bytes);
            return new MaraAgent(tensors, metadata, options);
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
        checkOptions(options);
        const {metadata = {}} = options;
        for (const [key, value] of Object.entries(metadata)) {
            if (typeof value !== "string") throw invalidArgument(`options.metadata.${key}`, "a string", value);
        }
        return new MaraAgent(namedTensors(tensors), metadata, options);
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

    /**
     * Writes a `.safetensors` file with the agent's tensors and metadata. It is written beside `path` and renamed, so that a failure
     * leaves nothing half-written.
     *
     * @throws MaraError WRITE_FAILED; AGENT_DISPOSED; INVALID_ARGUMENT, also if a weight is beyond the range of `dtype`
     */
    async save(path: string, options: MaraAgentSaveOptions = {}): Promise<void> {
        if (typeof path !== "string" || path === "") throw invalidArgument("path", "a path", path);
        const {dtype} = options;
        if (dtype !== undefined && !Object.hasOwn(saveDtypes, dtype)) {
            throw invalidArgument("options.dtype", oneOf(Object.keys(saveDtypes)), dtype);
        }
        const tensors = new Map<string, Tensor>();
        for (const [name, tensor] of this.stateDict.tensors) {
            tensors.set(name, dtype === undefined ? tensor : convert(name, tensor, saveDtypes[dtype]));
        }
        await writeWhole(path, writeSafetensors(tensors, this.metadata));
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
     * Moves an agent whose device is "auto" to CUDA, for models that run there. What prevents it is told once, as a warning.
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
        if (!(states instanceof Float32Array)) throw invalidArgument("states", "a Float32Array", states);
        if (states.length % this.width !== 0) {
            throw new MaraError(
                "AGENT_WIDTH",
                `Expected states of ${this.width} values each but received ${states.length} values, which is no multiple of it`
            );
        }
    }
}

/**
 * Tensors as `fromTensors` takes them, in the form that `readStateDict` checks. The data is copied.
 * @throws MaraError INVALID_ARGUMENT if data is no Float32Array or does not fill its shape
 */
export function namedTensors(tensors: Readonly<Record<string, AgentTensor>>): Map<string, Tensor> {
    const named = new Map<string, Tensor>();
    for (const [name, {shape, data}] of Object.entries(tensors)) {
        if (!(data instanceof Float32Array)) throw invalidArgument(`tensors["${name}"].data`, "a Float32Array", data);
        if (!Array.isArray(shape) || data.length !== countItems(shape)) {
            throw invalidArgument(`tensors["${name}"].shape`, `a shape of ${data.length} items`, `[${shape}]`);
        }
        named.set(name, tensorOf(shape, data));
    }
    return named;
}

function throwDisposed(): never {
    throw new MaraError("AGENT_DISPOSED", "The agent was disposed");
}

function oneOf(values: readonly string[]): string {
    return `one of ${values.map((value) => JSON.stringify(value)).join(", ")}`;
}

function checkOptions({dtype, kernel, threads, device}: MaraAgentOptions): void {
    if (device !== undefined && !agentDevices.includes(device)) {
        throw invalidArgument("options.device", oneOf(agentDevices), device);
    }
    if (device === "cuda" && dtype === "int8") {
        throw invalidArgument("options.dtype", 'one of "auto", "f32", "f16", "bf16" with device "cuda"', dtype);
    }
    if (dtype !== undefined && !loadDtypes.includes(dtype)) {
        throw invalidArgument("options.dtype", oneOf(loadDtypes), dtype);
    }
    if (kernel !== undefined && !native().kernels().includes(kernel)) {
        throw invalidArgument("options.kernel", oneOf(native().kernels()), kernel);
    }
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 256)) {
        throw invalidArgument("options.threads", "a whole number from 1 to 256", threads);
    }
}
