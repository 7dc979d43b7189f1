/** How an agent is asked, from the command line; the aligner's own options under the same names. */
import type {Command} from "commander";
import type {Mode, Order, Strategy} from "../align/options.js";
import {choice, integer, number} from "./parse.js";

export interface AlignmentOptions {
    threshold: number;
    mode: "auto" | Mode;
    strategy: Strategy;
    order: Order;
    topK: number;
    topP: number;
}

export function addAlignmentOptions(command: Command): Command {
    return command
        .addOption(thresholdOption())
        .addOption(modeOption())
        .addOption(
            choice("--strategy <name>", "which accepted token is taken", ["first", "random", "max-prob"], "first")
        )
        .addOption(
            choice("--order <name>", "how candidates are tried", ["best-first", "top-last", "reverse"], "best-first")
        )
        .addOption(integer("--top-k <n>", "most candidates for a token", 1, 256).default(40))
        .addOption(number("--top-p <p>", "nucleus of the candidates, above 0", 0, 1).default(0.95));
}

export const thresholdOption = () =>
    number("--threshold <p>", "accept probability that a token must exceed", 0, 1).default(0.5);

export const modeOption = () =>
    choice("--mode <mode>", "how candidates are evaluated", ["auto", "lanes", "serial"], "auto");
