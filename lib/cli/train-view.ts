/** How a training run is shown while it goes: a bar on a terminal, a line now and then elsewhere. */
import cliProgress from "cli-progress";
import {formatInteger, plural} from "../plural.js";
import type {TrainPhase, TrainProgress} from "../train/run/progress.js";

const titles: Record<TrainPhase, string> = {
    responses: "the model's own responses",
    states: "reading responses",
    fit: "fitting, epochs",
    rollouts: "episodes",
    calibration: "finding the threshold, answers",
    decisions: "decisions for the student",
    student: "fitting the student, epochs"
};
/** Milliseconds until the first line about work under way, and between further ones, where there is no terminal. */
const firstAfter = 15_000;
const quietFor = 60_000;

/** Everything goes to stderr. */
export class TrainView {
    readonly #stream = process.stderr;
    readonly #silent: boolean;
    #bar: cliProgress.SingleBar | undefined;
    #phase: TrainPhase | undefined;
    #begun = false;
    #lastLine = Number.NEGATIVE_INFINITY;
    #quiet = firstAfter;

    constructor(silent: boolean) {
        this.#silent = silent;
    }

    /** `first` stands before everything. */
    show(progress: TrainProgress, first?: string): void {
        if (first !== undefined && !this.#begun && !this.#silent) this.#stream.write(`${first}\n`);
        this.#begun = true;
        if (this.#stream.isTTY) this.#draw(progress);
        else if (!this.#silent) this.#line(progress);
    }

    /** `what` is done before it leaves. */
    interrupting(what = "writing a checkpoint"): void {
        if (this.#silent && !this.#stream.isTTY) return;
        this.finish();
        this.#stream.write(`mara: ${what}; Ctrl-C again leaves at once\n`);
    }

    finish(): void {
        this.#bar?.stop();
        this.#bar = undefined;
        this.#phase = undefined;
    }

    #draw(progress: TrainProgress): void {
        const {phase, done, total} = progress;
        const payload = {figures: figures(progress), left: left(progress.secondsLeft)};
        if (phase === this.#phase && this.#bar !== undefined) {
            this.#bar.update(done, payload);
            return;
        }
        this.finish();
        this.#phase = phase;
        const format = `${titles[phase]} {bar} {value}/{total}  {figures}  {left}`;
        this.#bar = new cliProgress.SingleBar({
            format,
            stream: this.#stream,
            // Narrow terminals keep the figures rather than the bar.
            barsize: Math.max(4, Math.min(24, (this.#stream.columns ?? 100) - 76)),
            hideCursor: true,
            linewrap: false,
            // Ctrl-C belongs to the run, which writes a checkpoint.
            gracefulExit: false,
            barCompleteChar: "█",
            barIncompleteChar: "░"
        });
        this.#bar.start(total, done, payload);
    }

    #line(progress: TrainProgress): void {
        const {phase, done, total} = progress;
        const now = performance.now();
        const waited = now - this.#lastLine >= this.#quiet;
        if (phase === this.#phase && done !== total && !waited) return;
        if (phase === this.#phase && waited) this.#quiet = quietFor;
        this.#phase = phase;
        this.#lastLine = now;
        const parts = [`${titles[phase]} ${done}/${total}`, figures(progress), left(progress.secondsLeft)];
        this.#stream.write(`${parts.filter((part) => part !== "").join("  ")}\n`);
    }
}

/** "768 tokens  reward 0.412  KL 0.031  accepted 61 %  2 dropped" */
export function figures(progress: TrainProgress): string {
    const {phase, done, total, tokens, seconds, reward, kl, acceptanceRate, greedy, heldOut, dropped, workers} =
        progress;
    const rate = Math.round(tokens / seconds);
    const share = acceptanceRate === null ? "" : `${(100 * acceptanceRate).toFixed(0)} %`;
    return [
        workers === null ? "" : plural(workers, "worker"),
        workers === null || tokens === 0 || done === total ? "" : `${formatInteger(rate)} tokens/s`,
        tokens === 0 || done === total ? "" : plural(tokens, "token"),
        reward === null ? "" : `reward ${reward.toFixed(3)}`,
        kl === null ? "" : `KL ${kl.toFixed(3)}`,
        share === "" || phase === "fit" ? "" : `accepted ${share}`,
        greedy === null ? "" : `held out ${greedy.reward.toFixed(3)}, raw ${greedy.raw.toFixed(3)}`,
        heldOut === null
            ? ""
            : `${heldOut.toldApart} of ${heldOut.pairs} held-out pairs told apart  epoch ${heldOut.keptEpoch} kept`,
        dropped === 0 ? "" : `${dropped} dropped`
    ]
        .filter((part) => part !== "")
        .join("  ");
}

/** "3 min left" */
export function left(seconds: number | null): string {
    return seconds === null ? "" : `${duration(seconds)} left`;
}

/** "40 s", "12 min", "3.1 h" */
export function duration(seconds: number): string {
    if (seconds < 90) return `${Math.ceil(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return `${(seconds / 3600).toFixed(1)} h`;
}
