import type {Contender} from "../harness/interleave.js";
import {type Command, nodeWorker, runProcess} from "../harness/process.js";
import {benchFile, compile, ggmlFolder, installPeers, orSkip, pythonWith} from "../harness/tools.js";
import type {KernelResult, KernelWork} from "./cases.js";

export interface KernelContender extends Contender<KernelResult> {
    kind: "ours" | "peer";
    dtype: string;
}

/** Largest error that counts as correct. The peers in 8 and 16 bits round activations too, so they get more room. */
const tolerance: Record<string, number> = {f32: 1e-4, f16: 4e-2, bf16: 8e-2, int8: 4e-2, q8_0: 4e-2};

const variants: readonly [string, readonly string[]][] = [
    ["ours", ["f32", "f16", "bf16", "int8"]],
    ["torch", ["f32", "bf16"]],
    ["torch.compile", ["f32", "bf16"]],
    ["ggml", ["f32", "f16", "q8_0"]],
    ["onnxruntime", ["f32"]],
    ["typescript", ["f32"]]
];

type Shared = Omit<KernelWork, "contender" | "dtype">;

/** Everything that can run here; the reasons for the rest go into `skipped`. */
export function kernelContenders(shared: Shared, skipped: Record<string, string>): KernelContender[] {
    const contenders: KernelContender[] = [];
    for (const [contender, dtypes] of variants) {
        orSkip(contender, skipped, () => {
            for (const dtype of dtypes) {
                const command = commandOf({...shared, contender, dtype});
                contenders.push({
                    name: `${contender} ${dtype}`,
                    kind: contender === "ours" ? "ours" : "peer",
                    dtype,
                    measure: () => runProcess<KernelResult>(command),
                    problem: ({times}) => problemOf(times, tolerance[dtype] as number)
                });
            }
        });
    }
    return contenders;
}

/** @throws Error if the contender cannot run here */
function commandOf(work: KernelWork): Command {
    const {contender, folder, dtype, threads, sampleSeconds, widths, counts} = work;
    if (contender.startsWith("torch"))
        return {
            file: pythonWith("torch", "numpy"),
            args: [benchFile("kernel/torch_worker.py"), JSON.stringify(work)],
            env: {OMP_NUM_THREADS: String(threads)}
        };
    if (contender === "ggml") {
        const program = compile("kernel/ggml_worker.cpp", ["-O2"]);
        const numbers = [threads, sampleSeconds, widths.join(","), counts.join(",")].map(String);
        return {file: program, args: [ggmlFolder(), folder, dtype, ...numbers]};
    }
    if (contender === "onnxruntime") installPeers();
    return nodeWorker("kernel/worker.ts", work);
}

function problemOf(times: KernelResult["times"], max: number): string | undefined {
    const wrong = times.find(({error}) => !(error <= max));
    return wrong && `wrong by ${wrong.error} at D=${wrong.width}, K=${wrong.count} (allowed: ${max})`;
}
