import type {BenchOptions, Suite, SuiteResult} from "../harness/suite.js";
import {measureLearner} from "./learner.js";

export const trainSuite: Suite = {title: "Training: updates of the learner", run};

async function run(options: BenchOptions): Promise<SuiteResult> {
    const result: SuiteResult = {tables: [], panels: [], columns: 2, targets: [], notes: [], skipped: {}, data: {}};
    await measureLearner(options, result);
    return result;
}
