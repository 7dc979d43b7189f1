import {readFileSync} from "node:fs";
import {join} from "node:path";
import {describe, expect, it} from "vitest";
import {expectFailure, mara, root, succeed} from "./helpers.js";

const options: Record<string, string[]> = {
    chat: ["--prompt", "--model", "--agent", "--compare", "--show-decisions", "--threshold", "--max-tokens", "--seed"],
    eval: [
        "--prompts",
        "--reward",
        "--against",
        "--run",
        "--thresholds",
        "--sequences",
        "--model",
        "--agent",
        "--json"
    ],
    demo: ["--prompts", "--seed", "--json", "alignedPreferred", "decodesPerToken"],
    inspect: ["--model", "--json"],
    convert: ["--dtype", "--force", "--json"],
    train: [
        "--out",
        "--prompts",
        "--reward",
        "--method",
        "--pairs",
        "--warm-start",
        "--resume",
        "--dry-run",
        "--queue"
    ],
    serve: ["--model", "--agent", "--port", "--api-key", "--parallel", "--open-to-everyone"],
    doctor: ["--json", "--model"],
    worker: ["--queue", "--models", "--allow-modules", "--lock"],
    status: ["--queue", "--watch", "--json"]
};

describe("help", () => {
    it("lists the commands, with examples", async () => {
        const help = await succeed(["--help"]);
        for (const command of Object.keys(options)) expect(help).toMatch(new RegExp(`^  ${command} `, "m"));
        expect(help).toContain("Examples:\n  $ mara demo");
    });

    it("is what a bare `mara` prints", async () => {
        expect(await succeed([])).toBe(await succeed(["--help"]));
    });

    it.each(Object.entries(options))("of %s names its options and gives examples", async (command, names) => {
        const help = await succeed([command, "--help"]);
        expect(help).toContain(`Usage: mara ${command}`);
        for (const name of names) expect(help).toContain(name);
        expect(help).toContain(`Examples:\n  $ mara ${command}`);
    });

    it("--version prints the package's", async () => {
        const {version} = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {version: string};
        expect(await succeed(["--version"])).toBe(`${version}\n`);
    });
});

describe("a wrong command line", () => {
    it.each([
        [["frob"], "unknown command 'frob'. Try --help."],
        [["chat", "--treshold", "1"], "unknown option '--treshold' (Did you mean --threshold?). Try --help."],
        [["convert", "only-one"], "missing required argument 'out'. Try --help."],
        [
            ["chat", "--threshold", "2"],
            'Expected a number from 0 to 1 for --threshold but received "2" (INVALID_ARGUMENT)'
        ],
        [
            ["chat", "--threshold", ""],
            'Expected a number from 0 to 1 for --threshold but received "" (INVALID_ARGUMENT)'
        ],
        [
            ["chat", "--max-tokens", "1.5"],
            'Expected an integer from 1 to 1000000 for --max-tokens but received "1.5" (INVALID_ARGUMENT)'
        ],
        [
            ["chat", "--mode", "fast"],
            'Expected one of "auto", "lanes", "serial" for --mode but received "fast" (INVALID_ARGUMENT)'
        ],
        [
            ["demo", "--prompts", "0"],
            'Expected an integer from 1 to 2000 for --prompts but received "0" (INVALID_ARGUMENT)'
        ],
        [
            ["demo", "--seed=-1"],
            'Expected an integer from 0 to 4294967295 for --seed but received "-1" (INVALID_ARGUMENT)'
        ]
    ])("%j fails in one line", async (args, message) => {
        expectFailure(await mara(args), message);
    });

    it("shows the stack to those who ask for it", async () => {
        const {stderr} = await mara(["chat", "--threshold", "2"], {env: {MARA_DEBUG: "1"}});
        expect(stderr).toMatch(/^mara: Expected.*\nMaraError: [\s\S]+\n {4}at /);
    });
});
