import {existsSync} from "node:fs";
import {join} from "node:path";
import {modelFolder} from "./tiny-model.js";

/** True if `npm run docs:api` was run here, or .ci/run, either of which fetches typedoc. */
export const hasTypedoc = existsSync(join(modelFolder, "typedoc", "node_modules", "typedoc", "bin", "typedoc"));
