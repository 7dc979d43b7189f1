import {execFile} from "node:child_process";
import {describe, expect, it} from "vitest";
import {type Outcome, root} from "./helpers.js";

/** Runs `program`, the text of an asynchronous function, as the command line runs its commands. */
function run(program: string): Promise<Outcome> {
    const code = `import {runToEnd} from "./lib/cli/failure.ts"; await runToEnd(${program});`;
    return new Promise((resolve) =>
        execFile(
            process.execPath,
            ["--import", "tsx", "--input-type=module", "-e", code],
            {cwd: root},
            (error, stdout, stderr) => resolve({code: (error?.code as number | undefined) ?? 0, stdout, stderr})
        )
    );
}

describe("runToEnd", () => {
    it("fails aloud where the program waits for what never comes", async () => {
        const {code, stderr} = await run("() => new Promise(() => {})");
        expect(code).toBe(1);
        expect(stderr).toMatch(/^mara: It ended before its work did: /);
    });

    it("leaves a program alone that ends, by itself or by process.exit", async () => {
        const late = "new Promise((resolve) => setTimeout(resolve, 20))";
        expect(await run(`() => ${late}`)).toEqual({code: 0, stdout: "", stderr: ""});
        expect(await run("async () => { process.exit(0); }")).toEqual({code: 0, stdout: "", stderr: ""});
    });
});
