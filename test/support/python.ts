import {existsSync} from "node:fs";
import {fileURLToPath} from "node:url";

/** The Python with PyTorch and safetensors that `.ci/run` installs. */
export const python = fileURLToPath(new URL("../../.test-models/venv/bin/python", import.meta.url));
export const hasPython = existsSync(python);
