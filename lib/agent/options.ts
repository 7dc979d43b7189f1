/** The options with which agents are loaded, made and saved; checked. */
import {z} from "zod";
import {invalidArgument} from "../errors.js";
import {type NativeWeightType, native} from "../native.js";
import {check, options} from "../validation/check.js";
import {oneOf} from "../validation/schemas.js";
import {type AgentDevice, agentDevices} from "./device.js";
import {countItems, type Tensor, tensorOf} from "./tensor.js";

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

/** What `agent.save` takes. */
export interface MaraAgentSaveOptions {
    /** Format of the agent's tensors in the file; a student's are float32. Default: that in which each was loaded, so nothing is lost (F64 becomes f32). */
    dtype?: "f32" | "f16" | "bf16";
    /** `"pth"`: a state dict for `torch.load`, which holds no metadata. Default: `"pth"` for a path that ends in `.pth`, else `"safetensors"`. */
    format?: "safetensors" | "pth";
}

const threads = "a whole number from 1 to 256";
const loadFields = {
    dtype: oneOf(["auto", "f32", "f16", "bf16", "int8"]).optional(),
    kernel: z.unknown().optional(),
    device: oneOf(agentDevices).optional(),
    threads: z.int(threads).min(1, threads).max(256, threads).optional()
};
const loadSchema = options(loadFields);
const makeSchema = options({
    ...loadFields,
    metadata: z.record(z.string(), z.string("a string"), "an object of strings").default({})
});
const saveSchema = options({
    dtype: oneOf(["f32", "f16", "bf16"]).optional(),
    format: oneOf(["safetensors", "pth"]).optional()
});

const source = z.union([z.string(), z.instanceof(Uint8Array)], "a path or a Uint8Array");
export const float32 = z.instanceof(Float32Array, {error: "a Float32Array"});
const tensorsSchema = z.record(
    z.string(),
    z.object({shape: z.array(z.int("a size").min(0, "a size"), "an array of sizes"), data: float32}, "{shape, data}"),
    "an object of tensors"
);

/** @throws MaraError INVALID_ARGUMENT */
export function checkSource(given: string | Uint8Array): void {
    check(source, given, "source");
}

/** @throws MaraError INVALID_ARGUMENT, NATIVE_ADDON */
export function checkLoadOptions(given: MaraAgentOptions): void {
    checkTogether(check(loadSchema, given, "options"));
}

/** @throws MaraError INVALID_ARGUMENT, NATIVE_ADDON */
export function checkMakeOptions(given: object): {metadata: Record<string, string>} {
    const checked = check(makeSchema, given, "options");
    checkTogether(checked);
    return checked;
}

/** @throws MaraError INVALID_ARGUMENT */
export function checkSaveOptions(given: MaraAgentSaveOptions): z.output<typeof saveSchema> {
    return check(saveSchema, given, "options");
}

function checkTogether({device, dtype, kernel}: z.output<typeof loadSchema>): void {
    if (device === "cuda" && dtype === "int8")
        throw invalidArgument("options.dtype", 'one of "auto", "f32", "f16", "bf16" with device "cuda"', dtype);
    // Only the addon knows the kernels, and it is loaded only for callers who name one.
    if (kernel !== undefined) check(oneOf(native().kernels() as [string]), kernel, "options.kernel");
}

/**
 * Tensors as `fromTensors` takes them, in the form that `readStateDict` checks. The data is copied.
 * @throws MaraError INVALID_ARGUMENT if data is no Float32Array or does not fill its shape
 */
export function namedTensors(tensors: Readonly<Record<string, AgentTensor>>): Map<string, Tensor> {
    const named = new Map<string, Tensor>();
    for (const [name, {shape, data}] of Object.entries(check(tensorsSchema, tensors, "tensors"))) {
        if (data.length !== countItems(shape))
            throw invalidArgument(`tensors["${name}"].shape`, `a shape of ${data.length} items`, `[${shape}]`);
        named.set(name, tensorOf(shape, data));
    }
    return named;
}
