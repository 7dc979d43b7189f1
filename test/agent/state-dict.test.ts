import {mkdtemp, rm, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {dirname, join} from "node:path";
import {describe, expect, test} from "vitest";
import {type AgentTensor, MaraAgent} from "../../lib/agent/agent.js";
import {namedTensors} from "../../lib/agent/options.js";
import {writeSafetensors} from "../../lib/agent/safetensors.js";
import {failure, safetensorsFile, smallTensors} from "./helpers.js";

const load = (bytes: Uint8Array): Promise<MaraAgent> => MaraAgent.load(bytes);
const tensorsError = (reason: string) => ({code: "AGENT_TENSORS", message: reason});

describe("a state dict", () => {
    type Tensors = Record<string, AgentTensor>;
    const changed = (change: (tensors: Tensors) => void): (() => MaraAgent) => {
        const tensors = smallTensors();
        change(tensors);
        return () => MaraAgent.fromTensors(tensors);
    };
    const zeros = (...shape: number[]): AgentTensor => ({
        shape,
        data: new Float32Array(shape.reduce((a, b) => a * b, 1))
    });

    test("with a tensor missing, unknown, or outside of the prefix", async () => {
        const wrong = changed((tensors) => {
            delete tensors["ln.bias"];
            delete tensors["linear2.weight"];
            tensors["linear3.weight"] = zeros(2, 4);
        });
        expect(await failure(wrong)).toEqual(
            tensorsError(
                'These are not the tensors of a MARA agent; missing: "ln.bias", "linear2.weight"; unknown: "linear3.weight"'
            )
        );
        const prefixed = Object.fromEntries(
            Object.entries(smallTensors()).map(([name, tensor]) => [
                name === "ln.bias" ? name : `actor.${name}`,
                tensor
            ])
        );
        expect(await failure(() => MaraAgent.fromTensors(prefixed))).toEqual(
            tensorsError('These are not the tensors of a MARA agent; missing: "ln.bias"; unknown: "ln.bias"')
        );
    });

    test("of another network names the first tensors only, without control characters", async () => {
        const layers = Object.fromEntries(Array.from({length: 100}, (_, i) => [`layer\u001b[31m${i}`, zeros(1)]));
        const {code, message} = await failure(() => MaraAgent.fromTensors(layers));
        expect(code).toBe("AGENT_TENSORS");
        expect(message).toContain('unknown: "layer\ufffd[31m0", ');
        expect(message).toMatch(/"layer\ufffd\[31m11" and 88 more$/);
    });

    const shapes: [string, AgentTensor, string][] = [
        ["ln.weight", zeros(8, 1), 'Tensor "ln.weight" has shape [8, 1] but one dimension of at least 1 were expected'],
        ["ln.weight", zeros(0), 'Tensor "ln.weight" has shape [0] but one dimension of at least 1 were expected'],
        ["ln.weight", zeros(9), 'Tensor "ln.bias" has shape [8] but [9] was expected'],
        ["ln.bias", zeros(7), 'Tensor "ln.bias" has shape [7] but [8] was expected'],
        [
            "linear1.weight",
            zeros(48),
            'Tensor "linear1.weight" has shape [48] but two dimensions of at least 1 were expected'
        ],
        ["linear1.weight", zeros(8, 6), 'Tensor "linear1.weight" has shape [8, 6] but [8, 8] was expected'],
        [
            "linear1.weight",
            zeros(0, 8),
            'Tensor "linear1.weight" has shape [0, 8] but two dimensions of at least 1 were expected'
        ],
        ["linear1.bias", zeros(6, 1), 'Tensor "linear1.bias" has shape [6, 1] but [6] was expected'],
        ["linear2.weight", zeros(4, 7), 'Tensor "linear2.weight" has shape [4, 7] but [4, 6] was expected'],
        ["output_linear.weight", zeros(3, 4), 'Tensor "output_linear.weight" has shape [3, 4] but [2, 4] was expected'],
        ["output_linear.bias", zeros(), 'Tensor "output_linear.bias" has shape [] but [2] was expected']
    ];
    for (const [name, tensor, message] of shapes) {
        test(`whose ${name} is [${tensor.shape}]`, async () => {
            const wrong = changed((tensors) => {
                tensors[name] = tensor;
            });
            expect(await failure(wrong)).toEqual(tensorsError(message));
        });
    }

    for (const name of Object.keys(smallTensors())) {
        test(`whose ${name} holds NaN or Inf`, async () => {
            for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
                const wrong = changed((tensors) => {
                    (tensors[name] as AgentTensor).data[1] = value;
                });
                expect(await failure(wrong)).toEqual(tensorsError(`Tensor "${name}" holds ${value} at index 1`));
            }
        });
    }

    for (const [name, tensors, shape] of [
        ["width", smallTensors(1, 65537, 1, 1), ["ln.weight", "[65537]"]],
        ["first hidden size", smallTensors(1, 1, 65537, 1), ["linear1.weight", "[65537, 1]"]],
        ["second hidden size", smallTensors(1, 1, 1, 65537), ["linear2.weight", "[65537, 1]"]]
    ] as const) {
        test(`whose ${name} is beyond the kernel's limit, in memory and in a file`, async () => {
            const reason = `Tensor "${shape[0]}" has shape ${shape[1]}, but width and hidden sizes end at 65536`;
            expect(await failure(() => MaraAgent.fromTensors(tensors))).toEqual(tensorsError(reason));
            const path = join(await mkdtemp(join(tmpdir(), "mara-large-")), "agent.safetensors");
            try {
                await writeFile(path, writeSafetensors(namedTensors(tensors), {}));
                expect(await failure(() => MaraAgent.load(path))).toEqual(
                    tensorsError(`Could not load ${path}: ${reason}`)
                );
            } finally {
                await rm(dirname(path), {recursive: true});
            }
        });
    }

    test("of a wrong dtype in a file, or of a float64 beyond float32", async () => {
        const file = (dtype: string, last: Uint8Array): Uint8Array => {
            const header: Record<string, unknown> = {};
            const parts: Uint8Array[] = [];
            let offset = 0;
            for (const [name, {shape, data}] of Object.entries(smallTensors())) {
                const isLast = name === "output_linear.bias";
                const bytes = isLast ? last : new Uint8Array(data.buffer);
                header[name] = {dtype: isLast ? dtype : "F32", shape, data_offsets: [offset, offset + bytes.length]};
                parts.push(bytes);
                offset += bytes.length;
            }
            return safetensorsFile(header, Buffer.concat(parts));
        };
        expect(await failure(() => load(file("I16", new Uint8Array(4))))).toEqual(
            tensorsError(
                'Could not load the agent\'s bytes: Tensor "output_linear.bias" has dtype I16 but F32, F16, BF16 or F64 was expected'
            )
        );
        expect(await failure(() => load(file("F64", new Uint8Array(Float64Array.of(1e300, 0).buffer))))).toEqual(
            tensorsError('Could not load the agent\'s bytes: Tensor "output_linear.bias" holds Infinity at index 0')
        );
        using agent = await load(file("F64", new Uint8Array(Float64Array.of(0.5, -0.25).buffer)));
        expect(agent.tensors()["output_linear.bias"].data).toEqual(Float32Array.of(0.5, -0.25));
    });
});
