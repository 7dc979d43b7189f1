import type {AgentTensor} from "../../lib/agent/agent.js";
import type {AgentStudent} from "../../lib/agent/student.js";

/** A student whose weights mean nothing, for files. */
export function madeUpStudent(width: number): AgentStudent {
    let next = 0;
    const tensor = (...shape: number[]): AgentTensor => ({
        shape,
        data: Float32Array.from({length: shape.reduce((a, b) => a * b)}, () => Math.sin(++next))
    });
    const calibration = {shape: [2, 3], data: Float32Array.of(0.5, 1, 0.25, -1, 0.5, -2)};
    return {
        model: "0123456789abcdef".repeat(4),
        activation: "relu",
        heldOutAgreement: 0.75,
        heldOutR2: 0.5,
        labels: 100,
        tensors: {
            "norm.weight": tensor(width),
            "norm.bias": tensor(width),
            "hidden.weight": tensor(64, width),
            "hidden.bias": tensor(64),
            "embedding.weight": tensor(64, width),
            "embedding.bias": tensor(64),
            "fc1.weight": tensor(128, 194),
            "fc1.bias": tensor(128),
            "fc2.weight": tensor(2, 128),
            "fc2.bias": tensor(2),
            calibration
        }
    };
}
