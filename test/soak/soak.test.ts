import {spawn} from "node:child_process";
import {fileURLToPath} from "node:url";
import {expect, it} from "vitest";

const script = fileURLToPath(new URL("main.ts", import.meta.url));

it("Ten seconds of the soak leave nothing behind, and every text is what it is alone", async () => {
    const args = [
        "--expose-gc",
        "--max-semi-space-size=1",
        "--import",
        "tsx",
        script,
        "--minutes",
        String(10 / 60),
        "--seed",
        "5"
    ];
    const child = spawn(process.execPath, args, {stdio: ["ignore", "pipe", "pipe"]});
    let output = "";
    for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (data) => (output += data));
    const ended = await new Promise((resolve) => child.on("close", (code, signal) => resolve({code, signal})));
    expect(ended, output).toEqual({code: 0, signal: null});
    expect(output).toMatch(/failures +\| 0 \|/);
    // How much ten seconds hold depends on what else the machine does.
    for (const what of ["tokens", "generations repeated alone", "configurations"])
        expect(Number(new RegExp(`\\| ${what} +\\| (\\d+)`).exec(output)?.[1]), output).toBeGreaterThan(0);
});
