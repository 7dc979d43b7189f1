/** `mara convert IN OUT`: between .pth and .safetensors, or from one precision to another. */
import {existsSync, statSync} from "node:fs";
import {Command} from "commander";
import {MaraAgent} from "../agent/agent.js";
import {orDemo} from "../demo/files.js";
import {invalidArgument, MaraError} from "../errors.js";
import {visible} from "../visible.js";
import {bytes, painter, terminal} from "./format.js";
import {printJson, printLines} from "./output.js";
import {choiceOption} from "./parse.js";

interface ConvertOptions {
    dtype?: "f32" | "f16" | "bf16";
    force?: boolean;
    json?: boolean;
}

const help = `
Without --dtype every tensor keeps its precision (float64 becomes f32). Nothing in a .pth file is executed.
A .pth file holds the agent's tensors alone. The student, which predicts the agent's verdicts with one model, and the metadata, such
as the threshold to use, are left out of it; a warning says which the input had.
--json prints one object: input {path, bytes}, output {path, bytes}, dtype, width, parameters.

Examples:
  $ mara convert agent.pth agent.safetensors
  $ mara convert agent.pth agent.safetensors --dtype bf16      half the size
  $ mara convert agent.safetensors agent.pth                   for torch.load; without student and metadata`;

export function convertCommand(): Command {
    return new Command("convert")
        .description("Write an agent as .safetensors or .pth")
        .argument("<in>", "a .pth or .safetensors file")
        .argument("<out>", "the .safetensors or .pth file to write")
        .addOption(choiceOption("--dtype <type>", "precision of the tensors", ["f32", "f16", "bf16"]))
        .option("--force", "overwrite an existing file")
        .option("--json", "print one JSON object")
        .addHelpText("after", help)
        .action(convert);
}

async function convert(input: string, output: string, {dtype, force, json}: ConvertOptions): Promise<void> {
    if (![".safetensors", ".pth"].some((ending) => output.endsWith(ending)))
        throw invalidArgument("OUT", "a path that ends in .safetensors or .pth", output);
    if (existsSync(output) && !force)
        throw new MaraError("WRITE_FAILED", `${output} exists already. Use --force to overwrite it.`);
    const agent = await MaraAgent.load(input);
    const before = statSync(orDemo(input, "agent")).size;
    await agent.save(output, dtype === undefined ? {} : {dtype});
    const after = statSync(output).size;
    const {width, parameters} = agent;
    const lost = output.endsWith(".pth") ? lostInPth(agent) : [];
    agent.dispose();
    if (lost.length > 0)
        process.emitWarning(
            `${output} has the agent's tensors alone. What ${input} also holds is left out: ${lost.join(", ")}`,
            "MaraWarning"
        );
    if (json) {
        const files = {input: {path: input, bytes: before}, output: {path: output, bytes: after}};
        printJson({...files, dtype: dtype ?? "kept", width, parameters});
        return;
    }
    const paint = painter(terminal().color);
    const precision = paint("dim", dtype === undefined ? "precision kept" : `as ${dtype}`);
    const [from, to] = [visible(input), visible(output)];
    printLines([`${from} (${bytes(before)})  →  ${paint("bold", to)} (${bytes(after)})  ${precision}`]);
}

/** What of use the agent has that a .pth file has no place for. */
function lostInPth({student, metadata}: MaraAgent): string[] {
    const parts = {
        student,
        threshold: metadata["mara.threshold"],
        "candidate settings": metadata["mara.candidates"]
    };
    return Object.entries(parts).flatMap(([name, part]) => (part === undefined ? [] : [name]));
}
