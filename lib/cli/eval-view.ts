/** How an evaluation is shown: how far it is while it goes, and its result as tables. */
import {join} from "node:path";
import {describeCandidates} from "../align/candidate-options.js";
import type {EvaluationProgress} from "../evaluate/options.js";
import type {EvaluationResult, PairResult, SideResult} from "../evaluate/result.js";
import {plural} from "../plural.js";
import {visible} from "../visible.js";
import {facts, fittingTable, painter, percent, short, type Terminal, wrap} from "./format.js";
import {Progress} from "./output.js";
import {left} from "./train-view.js";

/** Share of a side's time that has passed when each phase begins, roughly: answering takes most of it. */
const phaseBegins = {answers: 0, scores: 0.85, fluency: 0.9} as const;
const phaseEnds = {answers: 0.85, scores: 0.9, fluency: 1} as const;

/** One line on stderr, with the time that is left by the speed so far. */
export class EvalProgress {
    readonly #line = new Progress();
    readonly #now: () => number;
    #first: {share: number; at: number} | undefined;

    /** `now` in milliseconds. */
    constructor(now: () => number = () => performance.now()) {
        this.#now = now;
    }

    show(progress: EvaluationProgress): void {
        this.#line.show(this.text(progress));
    }

    /** "raw (2 of 3)  answers 4 of 20  3 min left" */
    text(progress: EvaluationProgress): string {
        const {side, phase, done, total, sidesDone, sides} = progress;
        const [begins, ends] = [phaseBegins[phase], phaseEnds[phase]];
        const share = (sidesDone + begins + ((ends - begins) * done) / Math.max(1, total)) / sides;
        // Speed is measured from the first report on, because answers of an earlier run took no time of this one.
        this.#first ??= {share, at: this.#now()};
        const [passed, gained] = [this.#now() - this.#first.at, share - this.#first.share];
        const secondsLeft = gained <= 0 ? null : ((passed / gained) * (1 - share)) / 1000;
        return [`${visible(side)} (${sidesDone + 1} of ${sides})`, `${phase} ${done} of ${total}`, left(secondsLeft)]
            .filter((part) => part !== "")
            .join("  ");
    }

    clear(): void {
        this.#line.clear();
    }
}

/** The result for people, no wider than the terminal as far as names allow. */
export function evaluationLines(
    result: EvaluationResult,
    run: string | undefined,
    {color, width}: Pick<Terminal, "color" | "width">
): string[] {
    const paint = painter(color);
    const {config, pairs, aligned, others, dial, timing, tradeOff} = result;
    const rewards = config.rewards.map((name) => visible(name));
    const pairRow = (pair: PairResult) => [
        visible(pair.other),
        rewards[pair.reward] ?? "",
        ...[pair.wins, pair.ties, pair.losses].map(String),
        value(pair.preferenceRate.value, percent),
        value(pair.difference.value, points),
        (pair.difference.interval95 ?? []).map(points).join(" to ")
    ];
    const sideRow = (side: SideResult) => [
        visible(side.name),
        ...side.rewards.map(({mean}) => value(mean)),
        value(side.words.value),
        value(side.distinct2),
        value(side.repetition.value, percent),
        ...(config.fluency ? [value(side.perplexity.value)] : []),
        short(side.decodesPerToken),
        (timing[side.name]?.tokensPerSecond ?? 0).toFixed(0)
    ];
    const dialRow = ({threshold, pair, side}: EvaluationResult["dial"][number]) => [
        String(threshold),
        value(pair.preferenceRate.value, percent),
        value(pair.difference.value, points),
        value(side.rewards[0]?.mean ?? null),
        value(side.perplexity.value),
        short(side.decodesPerToken)
    ];
    const failed = [aligned, ...others].flatMap(({rewards}) => rewards).reduce((sum, each) => sum + each.failed, 0);
    const sideHead = ["side", ...rewards, "words", "distinct-2", "repetition"];
    /** The first `texts` columns are words. */
    const section = (title: string, header: string[], rows: string[][], texts: number) => [
        "",
        ...wrap(paint("bold", title), width),
        "",
        ...fittingTable(
            header,
            rows,
            header.map((_, i) => (i < texts ? "left" : "right")),
            {paint, width}
        )
    ];
    return [
        ...section(
            `Which answer is preferred, over ${plural(config.prompts, "prompt")}`,
            ["aligned against", "by", "wins", "ties", "losses", "preferred", "difference", "95 % interval"],
            pairs.map(pairRow),
            2
        ),
        ...section(
            "What the answers are like",
            [...sideHead, ...(config.fluency ? ["perplexity"] : []), "decodes/token", "tokens/s"],
            [aligned, ...others].map(sideRow),
            1
        ),
        ...(dial.length === 0
            ? []
            : section(
                  "The threshold dial",
                  ["threshold", "preferred", "difference", rewards[0] ?? "", "perplexity", "decodes/token"],
                  dial.map(dialRow),
                  1
              )),
        ...(tradeOff === undefined
            ? []
            : [
                  "",
                  ...wrap(
                      `Hypervolume of the sides with several agents above ${visible(config.against[0] ?? "")}: ${short(tradeOff.hypervolume)}`,
                      width
                  )
              ]),
        ...(failed === 0 ? [] : ["", `${plural(failed, "score")} missing: the reward failed`]),
        "",
        ...wrap(
            paint(
                "dim",
                `Aligned at threshold ${config.threshold}; candidates: ${describeCandidates(config.aligned.candidates)}`
            ),
            width
        ),
        ...(run === undefined ? [] : ["", ...facts([["report", visible(join(run, "report.html"))]], paint)])
    ];
}

function value(number: number | null, format: (value: number) => string = short): string {
    return number === null ? "–" : format(number);
}

/** A difference of shares, in percentage points. */
function points(value: number): string {
    return `${value < 0 ? "" : "+"}${(100 * value).toFixed(1)}`;
}
