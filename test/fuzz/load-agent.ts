/** Loads an agent from fuzzed bytes: it must be refused by a code of its own, or score. */
import {MaraAgent} from "../../lib/agent/agent.js";
import {MaraError} from "../../lib/errors.js";

const allowed = ["AGENT_FORMAT", "AGENT_UNSAFE_PICKLE", "AGENT_TENSORS"];

export async function loadAgent(input: Uint8Array): Promise<string> {
    let agent: MaraAgent;
    try {
        agent = await MaraAgent.load(input, {threads: 1});
    } catch (error) {
        if (!(error instanceof MaraError) || !allowed.includes(error.code)) throw error;
        if (error.message.length > 2000) throw new Error(`A message of ${error.message.length} characters`);
        return `${error.code}: ${error.message}`;
    }
    try {
        const states = new Float32Array(2 * agent.width).fill(0.5, 1);
        for (const probability of agent.score(states)) {
            // Weights near the end of float32 overflow inside; then the kernel gives 0.
            if (!(probability >= 0 && probability <= 1)) throw new Error(`A probability of ${probability}`);
        }
        return "loaded";
    } finally {
        agent.dispose();
    }
}
