/** Has a loaded network of a student or a value network say something of two tokens. */
import type {AgentTensor} from "../../lib/agent/options.js";
import type {NetworkTensorName} from "../../lib/agent/student.js";
import {native} from "../../lib/native.js";

export function askNetwork(
    {tensors}: {readonly tensors: Readonly<Record<NetworkTensorName, AgentTensor>>},
    width: number
): void {
    const {Student} = native();
    const student = new Student(
        {
            width,
            normWeight: tensors["norm.weight"].data,
            normBias: tensors["norm.bias"].data,
            hiddenWeight: tensors["hidden.weight"].data,
            hiddenBias: tensors["hidden.bias"].data,
            embeddingWeight: tensors["embedding.weight"].data,
            embeddingBias: tensors["embedding.bias"].data,
            fc1Weight: tensors["fc1.weight"].data,
            fc1Bias: tensors["fc1.bias"].data,
            fc2Weight: tensors["fc2.weight"].data,
            fc2Bias: tensors["fc2.bias"].data
        },
        2
    );
    const verdicts = student.judge(new Float32Array(width).fill(0.5, 1), Int32Array.of(0, 1), Float32Array.of(-1, -2));
    if (verdicts.length !== 4) throw new Error(`${verdicts.length} numbers about two tokens`);
}
