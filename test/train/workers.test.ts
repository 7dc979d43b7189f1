import {execFile} from "node:child_process";
import {fileURLToPath} from "node:url";
import {promisify} from "node:util";
import {expect, it} from "vitest";

const script = fileURLToPath(new URL("workers-child.mjs", import.meta.url));

it.skipIf(process.platform !== "linux")(
    "worker threads that end while a learner trains leave no thread behind, and the addon in memory (needs Linux)",
    async () => {
        const {stdout} = await promisify(execFile)(process.execPath, [script]);
        expect(JSON.parse(stdout)).toEqual({left: 0, loaded: true});
    }
);
