import {spawnSync} from "node:child_process";
import {createHash} from "node:crypto";
import {mkdtemp, rm, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {hasPython, python} from "../support/python.js";
import {fuzz} from "./fuzz.js";
import {fuzzTargets} from "./target.js";

const script = fileURLToPath(new URL("read_agents.py", import.meta.url));

/** Cases in which this package reads files that PyTorch or safetensors refuse: SECURITY.md lists them. */
const lenient: Record<string, RegExp[]> = {
    "agent-pth": [
        // The entries .format_version, .storage_alignment and version.
        /invalid literal for int\(\)|UnicodeDecodeError|stoull/,
        /hasRecord\("version"\)|as Long Long|file with version \d+|Couldn't parse the version/,
        /failed (reading file|retrieving file meta-data for) (version|\.)/,
        // Other entries, in or out of the archive's one folder.
        /file in archive is not in a subdirectory/,
        // Fields of the directory that do not say where an entry is.
        /failed reading zip archive: (unsupported (multidisk|central directory|encryption|method|version|feature)|invalid header)/
    ],
    "agent-safetensors": []
};
const inputs: Record<string, number> = {"agent-pth": 5000, "agent-safetensors": 30_000};

type Tensors = Record<string, [number[], string]>;

async function tensorsOf(input: Uint8Array): Promise<Tensors | undefined> {
    try {
        using agent = await MaraAgent.load(input);
        return Object.fromEntries(
            Object.entries(agent.tensors()).map(([name, {shape, data}]) => [
                name,
                [[...shape], createHash("sha256").update(new Uint8Array(data.buffer)).digest("hex")]
            ])
        );
    } catch {
        return undefined;
    }
}

/** Names without the prefix that they share. */
function bare(tensors: Tensors, names: string[]): Tensors {
    return Object.fromEntries(
        Object.entries(tensors).map(([name, tensor]) => [
            names.find((known) => name === known || name.endsWith(`.${known}`)) ?? name,
            tensor
        ])
    );
}

describe.skipIf(!hasPython)(
    `what loads is what PyTorch and safetensors read${hasPython ? "" : " (skipped: there is no .test-models/venv)"}`,
    async () => {
        for (const target of (await fuzzTargets()).filter(({name}) => name in lenient)) {
            test(target.name, async () => {
                const loaded: {input: Uint8Array; tensors: Tensors}[] = [];
                const run = async (input: Uint8Array) => {
                    const outcome = await target.run(input);
                    if (outcome === "loaded") loaded.push({input, tensors: (await tensorsOf(input)) as Tensors});
                    return outcome;
                };
                await fuzz({...target, run}, {inputs: inputs[target.name] as number, seed: 11});
                const folder = await mkdtemp(join(tmpdir(), "mara-differential-"));
                try {
                    const paths = await Promise.all(
                        loaded.slice(0, 1500).map(async ({input}, i) => {
                            const path = join(folder, `${i}`);
                            await writeFile(path, input);
                            return path;
                        })
                    );
                    const {stdout, stderr} = spawnSync(python, [script], {
                        input: paths.join("\n"),
                        encoding: "utf8",
                        maxBuffer: 2 ** 28
                    });
                    const answers = stdout.trim().split("\n");
                    expect(answers.length, stderr).toBe(paths.length);
                    expect(paths.length).toBeGreaterThan(20);
                    for (const [i, answer] of answers.entries()) {
                        const {tensors, refused} = JSON.parse(answer) as {tensors?: Tensors; refused?: string};
                        const ours = (loaded[i] as (typeof loaded)[number]).tensors;
                        const input = Buffer.from((loaded[i] as (typeof loaded)[number]).input).toString("base64");
                        if (tensors === undefined) {
                            const known = lenient[target.name]?.some((pattern) => pattern.test(refused as string));
                            expect(known, `${refused}\n${input}`).toBe(true);
                        } else {
                            expect(bare(tensors, Object.keys(ours)), input).toEqual(ours);
                        }
                    }
                } finally {
                    await rm(folder, {recursive: true});
                }
            });
        }
    }
);
