import {nodeWorker, runProcess} from "../harness/process.js";
import {modelName, type Plan, percent} from "./contenders.js";
import type {CalibrateWork} from "./work.js";

/** Writes the agents that a plan's contenders load. */
export async function makeAgents(
    {modelPath, rates, agents, tokens, contextSize, threads}: Plan,
    log: (line: string) => void
): Promise<void> {
    const work: CalibrateWork = {task: "calibrate", modelPath, rates, folder: agents, tokens, contextSize, threads};
    log(`${modelName(modelPath)}: making the agents`);
    const achieved = await runProcess<Record<number, number>>(nodeWorker("generate/worker.ts", work));
    const list = rates.map((rate) => `${percent(achieved[rate] ?? 0)} for ${percent(rate)}`).join(", ");
    log(`${modelName(modelPath)}: accepted over eight texts: ${list}`);
}
