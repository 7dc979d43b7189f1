/** One contender of the generate suite, in a process of its own. */
import {calibrate} from "./calibrate.js";
import {measureCosts} from "./costs.js";
import {measureGeneration} from "./measure.js";
import type {CalibrateWork, CostsWork, GenerateWork} from "./work.js";

const work = JSON.parse(process.argv[2] as string) as GenerateWork | CalibrateWork | CostsWork;
const result =
    work.task === "generate"
        ? await measureGeneration(work)
        : work.task === "costs"
          ? await measureCosts(work)
          : await calibrate(work);
console.log(JSON.stringify(result));
process.exit(0);
