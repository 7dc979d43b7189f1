/** Has a loaded network of a student or a value network say something of two tokens. */
import {type Network, nativeNetwork} from "../../lib/align/cascade/student-table.js";

export function askNetwork(network: Network, width: number): void {
    const student = nativeNetwork(network, width, 2);
    const verdicts = student.judge(new Float32Array(width).fill(0.5, 1), Int32Array.of(0, 1), Float32Array.of(-1, -2));
    if (verdicts.length !== 4) throw new Error(`${verdicts.length} numbers about two tokens`);
}
