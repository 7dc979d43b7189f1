import {existsSync} from "node:fs";
import {join} from "node:path";
import {modelFolder} from "./tiny-model.js";

const program = (...parts: string[]) => join(modelFolder, ...parts);

/** lm-evaluation-harness, where `npm run clients` has put it. */
export const lmEval = program("lm-eval", "bin", "lm_eval");
export const hasLmEval = existsSync(lmEval);

/** schemathesis, where `npm run clients` has put it. */
export const schemathesis = program("schemathesis", "bin", "schemathesis");
export const hasSchemathesis = existsSync(schemathesis);

/** promptfoo, where `npm run clients` has put it; node runs it. */
export const promptfoo = program("promptfoo", "node_modules", "promptfoo", "dist", "src", "entrypoint.js");
export const hasPromptfoo = existsSync(promptfoo);
