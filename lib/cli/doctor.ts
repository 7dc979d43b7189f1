/** `mara doctor`: what works here, found out by trying it. */
import {Command} from "commander";
import {visible} from "../visible.js";
import {type Check, examine, type Report} from "./doctor-checks.js";
import {pad, painter, terminal, wrap} from "./format.js";
import {printJson, printLines} from "./output.js";
import {addPairOptions, type PairOptions} from "./pair.js";

const help = `
Lanes are verified for real: a context is created, node-llama-cpp's memory layout is checked, and tokens are generated.
On a CPU the model decodes for up to two seconds with 1, 2, … threads; the other commands then take the number that was best.

--json prints one object: ok, mode, modeReason, versions {package, node, nodeLlamaCpp, llamaCpp}, platform {os, arch, libc},
addon {path, origin}, kernels {available, chosen}, cuda {built, devices}, backend {gpu, buildType, instructionSet},
threads {measured: [{threads, tokensPerSecond}], advised},
and checks [{name, status: "ok" | "warn" | "fail", detail, fix}]. The exit code is 1 if generation cannot work.

Examples:
  $ mara doctor
  $ mara doctor --model model.gguf --agent agent.safetensors     check a pair of your own`;

export function doctorCommand(): Command {
    return addPairOptions(
        new Command("doctor").description("Check versions, the native addon, kernels, backend and decoding mode"),
        "auto"
    )
        .option("--json", "print one JSON object")
        .addHelpText("after", help)
        .action(doctor);
}

async function doctor(options: PairOptions & {json?: boolean}): Promise<void> {
    const report = await examine(options);
    if (options.json) printJson(report);
    else printLines(draw(report));
    if (!report.ok) process.exitCode = 1;
}

const styles = {ok: "green", warn: "yellow", fail: "red"} as const;
const statusWidth = 4;

function draw({checks, ok, mode}: Report): string[] {
    const {color, width} = terminal();
    const paint = painter(color);
    const names = Math.max(...checks.map(({name}) => name.length));
    const indent = statusWidth + names + 4;
    const room = Math.max(30, width - indent);
    const line = ({name, status, detail, fix}: Check) => {
        const [first, ...more] = [
            ...wrap(visible(detail), room),
            ...(fix === undefined ? [] : wrap(`→ ${visible(fix)}`, room))
        ];
        return [
            `${paint(styles[status], pad(status, statusWidth))}  ${paint("dim", pad(name, names))}  ${first}`,
            ...more.map((text) => " ".repeat(indent) + text)
        ];
    };
    const verdict = ok ? `Aligned generation works, in ${mode} mode.` : "Aligned generation does not work here.";
    return [...checks.flatMap(line), "", paint(["bold", ok ? "green" : "red"], verdict)];
}
