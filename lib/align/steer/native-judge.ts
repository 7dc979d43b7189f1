import {combinations, type NativeAgent, type NativeJudge} from "../../native.js";

const alone = new WeakMap<NativeAgent, NativeJudge>();

/** An agent as the only judge. Its probabilities stay as they are, bit for bit. */
export function nativeJudge(agent: NativeAgent): NativeJudge {
    const known = alone.get(agent);
    if (known !== undefined) return known;
    const judge = {
        agents: [agent],
        weights: Float32Array.of(1),
        thresholds: Float32Array.of(0.5),
        combination: combinations.minimum
    };
    alone.set(agent, judge);
    return judge;
}
