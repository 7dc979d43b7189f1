import type {BenchOptions, Suite, SuiteResult} from "../harness/suite.js";
import {measureLearner} from "./learner.js";
import {measureRollouts} from "./rollout.js";

export const trainSuite: Suite = {title: "Training: updates of the learner, and rollouts", run};

async function run(options: BenchOptions): Promise<SuiteResult> {
    const result: SuiteResult = {tables: [], panels: [], columns: 2, targets: [], notes: [], skipped: {}, data: {}};
    await measureLearner(options, result);
    await measureRollouts(options, result);
    return result;
}
