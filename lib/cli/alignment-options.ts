/** Options of the command line that say how an agent is asked, under the names of the aligner's own options. */

import {type Command, Option} from "commander";
import type {MaraAgent} from "../agent/agent.js";
import type {Mode} from "../align/context-options.js";
import type {AlignerSettings, CascadeOption, Order, Strategy, WeightedAgent} from "../align/options.js";
import {invalidArgument} from "../errors.js";
import {promptFormats} from "../prompts/prompts.js";
import {choiceOption, given, integerOption, numberOption, parseNumberIn} from "./parse.js";

export interface AlignmentOptions {
    threshold?: number;
    mode: "auto" | Mode;
    strategy: Strategy;
    order: Order;
    fallbackIndex: number;
    cascade?: CascadeOption;
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
            .addOption(cascadeOption())
    );
}

/** How several agents judge together. */
export function addCombinationOptions(command: Command): Command {
    const weight = new Option("--weight <w>", "weight of an agent; once for each --agent, in their order (default: 1)");
    return command
        .addOption(
            weight.argParser((text, before: number[] = []) => [
                ...before,
                parseNumberIn("--weight", 0, Number.MAX_VALUE)(text)
            ])
        )
        .addOption(
            choiceOption("--combine <how>", "what several agents accept together (default: weighted)", combinations)
        );
}

export const combinations = ["all", "weighted", "any"] as const;

/** @throws MaraError INVALID_ARGUMENT */
export function weightedAgents(agents: readonly MaraAgent[], weights: readonly number[] = []): WeightedAgent[] {
    if (weights.length > 0 && weights.length !== agents.length)
        throw invalidArgument("--weight", `one for each of ${agents.length} agents`, weights.join(", "));
    return agents.map((agent, i) => ({agent, weight: weights[i] ?? 1}));
}

/** How candidates are drawn. */
export function addDrawOptions(command: Command): Command {
    return command
        .addOption(integerOption("--top-k <n>", "most candidates for a token (default: as trained, else 40)", 1, 256))
        .addOption(
            numberOption("--top-p <p>", "nucleus of the candidates (default: as trained, else 0.95)", 0, 1, true)
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
            numberOption(
                "--temperature <t>",
                "temperature of the candidates (default: as trained, else 0.8)",
                0,
                100,
                true
            )
        );
}

export const strategies = ["first", "random", "max-prob"] as const;

export const orderOption = (byDefault?: Order) =>
    choiceOption("--order <name>", "how candidates are tried", ["best-first", "top-last", "reverse"], byDefault);

export const promptFormatOption = (byDefault: string) =>
    choiceOption("--prompt-format <name>", `how prompts are put to the model (default: ${byDefault})`, promptFormats);

/** The given ones among the settings that otherwise follow the agent. */
export function givenSettings(options: AlignmentOptions): Partial<AlignerSettings> {
    const {threshold, cascade, topK, topP, minP, temperature} = options;
    const candidates = given({topK, topP, minP, temperature});
    return {...given({threshold, cascade}), ...(Object.keys(candidates).length === 0 ? {} : {candidates})};
}

export const thresholdOption = (more = "") =>
    numberOption("--threshold <p>", `accept probability that a token must exceed${more}`, 0, 1);

const cascadeOption = () =>
    new Option(
        "--cascade <share>",
        "whether the agent's student decides in its place: off, auto, or the share of such verdicts that must agree with the agent's (default: auto in chat, off in eval)"
    ).argParser((text): CascadeOption => {
        if (text === "off" || text === "auto") return text;
        const agreement = Number(text);
        if (text.trim() !== "" && agreement >= 0 && agreement <= 1) return {agreement};
        throw invalidArgument("--cascade", '"off", "auto" or a number from 0 to 1', text);
    });

export const modeOption = () =>
    choiceOption("--mode <mode>", "how candidates are evaluated", ["auto", "lanes", "serial"], "auto");
