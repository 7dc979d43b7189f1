/** `mara train student`: a student for any agent. */
import {Command} from "commander";
import {demoName} from "../demo/files.js";
import {MaraError} from "../errors.js";
import {formatInteger} from "../plural.js";
import {studentDefaults as defaults} from "../train/student/defaults.js";
import {visible} from "../visible.js";
import {type AlignmentOptions, addDrawOptions, thresholdOption} from "./alignment-options.js";
import {interrupted} from "./failure.js";
import {facts, painter, terminal} from "./format.js";
import {printJson, printLines} from "./output.js";
import {addPairOptions, isDemo, openLlama, type PairOptions, resolveModel, threadsFor} from "./pair.js";
import {given, integerOption, largestSeed} from "./parse.js";
import {type StudentFacts, studentFacts, studentRows} from "./student-facts.js";
import {TrainView} from "./train-view.js";

interface StudentFlags
    extends PairOptions,
        Pick<AlignmentOptions, "threshold" | "topK" | "topP" | "minP" | "temperature"> {
    prompts: string;
    out?: string;
    decisions?: number;
    maxTokens?: number;
    epochs?: number;
    sequences?: number;
    seed?: number;
    json?: boolean;
}

const help = `
A student predicts an agent's verdicts before a candidate is decoded, which is what makes alignment as fast as plain generation. It
is for one agent and one model, and stands in the agent's file. Ctrl-C ends the collecting: the student is made from what there is.

--json prints one object: path, completed, decisions {training, heldOut}, labels, heldOutAgreement, heldOutR2, decided
(by agreement, the share of verdicts that the student decides).

Examples:
  $ mara train student -m model.gguf -a agent.safetensors --prompts prompts.jsonl
  $ mara train student -m model.gguf -a published.pth --prompts prompts.jsonl --out agent.safetensors
  $ mara train student --prompts demo --out demo-agent.safetensors         the demo's model and agent`;

export function trainStudentCommand(): Command {
    const command = new Command("student")
        .description("Make a student for any agent, so that most verdicts need no decode")
        .requiredOption("--prompts <file>", "prompts: JSON lines or a JSON array; some are held out")
        .option("-o, --out <file>", "the .safetensors file to write (default: the agent's)")
        .addOption(
            integerOption("--decisions <n>", `decisions to generate (default: ${defaults.decisions})`, 2, 1_000_000)
        )
        .addOption(integerOption("--max-tokens <n>", `longest response (default: ${defaults.maxTokens})`, 1, 1_000_000))
        .addOption(integerOption("--epochs <n>", `most passes over them (default: ${defaults.epochs})`, 1, 10_000))
        .addOption(
            integerOption("--sequences <n>", `prompts answered at a time (default: ${defaults.sequences})`, 1, 64)
        )
        .addOption(integerOption("--seed <n>", `of everything drawn (default: ${defaults.seed})`, 0, largestSeed))
        .addOption(thresholdOption(" (default: as the agent was trained, else 0.5)"));
    return addDrawOptions(addPairOptions(command, "auto"))
        .option("--json", "print one JSON object at the end")
        .addHelpText("after", help)
        .action((_, own: Command) => trainStudentOf(own.opts<StudentFlags>()));
}

async function trainStudentOf(flags: StudentFlags): Promise<void> {
    const {model, agent = demoName, gpu, threads, prompts, json, topK, topP, minP, temperature, ...others} = flags;
    if (!isDemo(model) && flags.agent === undefined)
        throw new MaraError(
            "INVALID_ARGUMENT",
            "--model needs --agent: give the agent whose verdicts are to be learnt."
        );
    const {trainStudent} = await import("../train/student/train-student.js");
    const modelPath = await resolveModel(model);
    const llama = await openLlama(gpu);
    const view = new TrainView(json === true);
    const controller = new AbortController();
    const leave = () => {
        if (controller.signal.aborted) process.exit(interrupted);
        view.interrupting("fitting to the decisions so far");
        controller.abort();
    };
    try {
        process.on("SIGINT", leave).on("SIGTERM", leave);
        const result = await trainStudent({
            ...given(others),
            ...given({threads: threads ?? threadsFor(llama, modelPath)}),
            candidates: given({topK, topP, minP, temperature}),
            modelPath,
            llama,
            agent,
            prompts,
            onProgress: (progress) => view.show(progress),
            signal: controller.signal
        });
        view.finish();
        report(result, flags);
        result.agent.dispose();
        if (!result.completed) process.exitCode = interrupted;
    } finally {
        view.finish();
        process.off("SIGINT", leave).off("SIGTERM", leave);
        await llama.dispose();
    }
}

type Result = Awaited<ReturnType<typeof import("../train/student/train-student.js").trainStudent>>;

function report({agent, completed, decisions, path}: Result, {json, threshold}: StudentFlags): void {
    const made = studentFacts(agent, threshold) as StudentFacts;
    if (json) {
        const {labels, heldOutAgreement, heldOutR2, decided} = made;
        printJson({path, completed, decisions, labels, heldOutAgreement, heldOutR2, decided});
        return;
    }
    const paint = painter(terminal().color);
    const generated = `${formatInteger(decisions.training)} to learn from, ${formatInteger(decisions.heldOut)} held out`;
    const lines = facts(
        [["agent", paint("bold", visible(path ?? ""))], ["decisions", generated], ...studentRows(made)],
        paint
    );
    printLines(
        completed ? lines : [...lines, "", "Interrupted: the student was made from the decisions that there were."]
    );
}
