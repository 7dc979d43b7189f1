/** Options of the command line that say how an agent is asked, under the names of the aligner's own options. */
import type {Command} from "commander";
import type {AlignerSettings, Mode, Order, Strategy} from "../align/options.js";
import {promptFormats} from "../prompts/prompts.js";
import {choiceOption, given, integerOption, numberOption} from "./parse.js";

export interface AlignmentOptions {
    threshold?: number;
    mode: "auto" | Mode;
    strategy: Strategy;
    order: Order;
    fallbackIndex: number;
    topK?: number;
    topP?: number;
    minP?: number;
    temperature?: number;
}

export function addAlignmentOptions(command: Command): Command {
    return addDrawOptions(
        command
            .addOption(thresholdOption(" (default: as the agent was trained, else 0.5)"))
            .addOption(modeOption())
            .addOption(choiceOption("--strategy <name>", "which accepted token is taken", strategies, "first"))
            .addOption(orderOption("best-first"))
            .addOption(
                integerOption(
                    "--fallback-index <n>",
                    "rank of the candidate taken when none is accepted",
                    0,
                    255
                ).default(0)
            )
    );
}

/** How candidates are drawn. */
export function addDrawOptions(command: Command): Command {
    return command
        .addOption(integerOption("--top-k <n>", "most candidates for a token (default: as trained, else 40)", 1, 256))
        .addOption(
            numberOption("--top-p <p>", "nucleus of the candidates, above 0 (default: as trained, else 0.95)", 0, 1)
        )
        .addOption(
            numberOption(
                "--min-p <p>",
                "least probability relative to the top candidate (default: as trained, else 0)",
                0,
                1
            )
        )
        .addOption(
            numberOption("--temperature <t>", "temperature of the candidates (default: as trained, else 0.8)", 0, 100)
        );
}

export const strategies = ["first", "random", "max-prob"] as const;

export const orderOption = (byDefault?: Order) =>
    choiceOption("--order <name>", "how candidates are tried", ["best-first", "top-last", "reverse"], byDefault);

export const promptFormatOption = (byDefault: string) =>
    choiceOption("--prompt-format <name>", `how prompts are put to the model (default: ${byDefault})`, promptFormats);

/** The given ones among the settings that otherwise follow the agent. */
export function givenSettings({threshold, topK, topP, minP, temperature}: AlignmentOptions): Partial<AlignerSettings> {
    const candidates = given({topK, topP, minP, temperature});
    return {...given({threshold}), ...(Object.keys(candidates).length === 0 ? {} : {candidates})};
}

export const thresholdOption = (more = "") =>
    numberOption("--threshold <p>", `accept probability that a token must exceed${more}`, 0, 1);

export const modeOption = () =>
    choiceOption("--mode <mode>", "how candidates are evaluated", ["auto", "lanes", "serial"], "auto");
