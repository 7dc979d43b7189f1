/** How the answers of a chat are shown: for people, or for programs. */
import {describeCandidates} from "../align/candidate-options.js";

import {formatInteger, plural} from "../plural.js";
import {visible} from "../visible.js";
import type {ChatOptions, ChatSides} from "./chat-options.js";
import {type Paint, painter, sideBySide, type Terminal, terminal} from "./format.js";
import {LiveRegion, printJsonLine, printLines} from "./output.js";
import type {Speaker, SpokenAnswer} from "./speaker.js";
import {legend, type Piece, render} from "./trace.js";
import {WordWrap} from "./word-wrap.js";

/** Asks both sides as the view needs it, and shows what they say. */
export interface ChatView {
    ask(question: string, signal: AbortSignal): Promise<void>;
    /** Called once, before the first question of a conversation at the terminal. */
    greet(): void;
}

/** From this width on, two answers fit side by side. */
const wideEnough = 100;

export class ChatText implements ChatView {
    readonly #sides: ChatSides;
    readonly #options: ChatOptions;
    readonly #terminal: Terminal = terminal();
    readonly #paint: Paint;

    constructor(sides: ChatSides, options: ChatOptions) {
        this.#sides = sides;
        this.#options = options;
        this.#paint = painter(this.#terminal.color);
    }

    greet(): void {
        const {aligner} = this.#sides;
        const {threshold, candidates} = aligner.settings();
        printLines([
            `${this.#paint("bold", "mara chat")}  ${this.#paint("dim", `${aligner.mode} mode; /help for commands`)}`,
            this.#paint("dim", `threshold ${threshold}, candidates: ${describeCandidates(candidates)}`),
            ...(this.#options.showDecisions ? [legend(this.#paint, this.#terminal.color)] : [])
        ]);
    }

    async ask(question: string, signal: AbortSignal): Promise<void> {
        const {aligned, raw} = this.#sides;
        if (raw === undefined) {
            this.#footer(await this.#stream(aligned, question, signal));
        } else if (this.#terminal.isTty && this.#terminal.width >= wideEnough) {
            await this.#beside(raw, aligned, question, signal);
        } else {
            printLines([this.#paint("dim", "raw")]);
            await this.#stream(raw, question, signal);
            printLines(["", this.#paint("dim", "aligned")]);
            this.#footer(await this.#stream(aligned, question, signal));
        }
    }

    /** Both answer at the same time. */
    async #beside(raw: Speaker, aligned: Speaker, question: string, signal: AbortSignal): Promise<void> {
        const region = new LiveRegion();
        const texts = {raw: "", aligned: ""};
        const lines = () => {
            const columns = [this.#paint("dim", "raw"), this.#paint("dim", "aligned")] as const;
            const {width} = this.#terminal;
            return [
                ...sideBySide(...columns, width, this.#paint),
                ...sideBySide(texts.raw, texts.aligned, width, this.#paint)
            ];
        };
        const answer = (speaker: Speaker, side: "raw" | "aligned") =>
            speaker.answer(question, {
                maxTokens: this.#options.maxTokens,
                signal,
                onPieces: (_, all) => {
                    texts[side] = this.#draw(all);
                    region.draw(lines());
                }
            });
        const [, answered] = await Promise.all([answer(raw, "raw"), answer(aligned, "aligned")]);
        region.finish(lines());
        this.#footer(answered);
    }

    async #stream(speaker: Speaker, question: string, signal: AbortSignal): Promise<SpokenAnswer> {
        const {isTty, width} = this.#terminal;
        const wrap = new WordWrap(isTty ? width : Number.POSITIVE_INFINITY, (text) => void process.stdout.write(text));
        const answer = await speaker.answer(question, {
            maxTokens: this.#options.maxTokens,
            signal,
            onPieces: (added) => wrap.add(this.#draw(added))
        });
        wrap.end();
        process.stdout.write(answer.aborted ? this.#paint("dim", " (stopped)\n") : "\n");
        return answer;
    }

    #draw(pieces: readonly Piece[]): string {
        if (this.#options.showDecisions) return render(pieces, this.#paint, this.#terminal.color);
        const shown = (text: string) => visible(text, {lines: true});
        return pieces.map(({text, thought}) => (thought ? this.#paint("dim", shown(text)) : shown(text))).join("");
    }

    /** Sums up the agent's decisions, for people who asked to see them. */
    #footer({decisions, tokens}: SpokenAnswer): void {
        if (!this.#options.showDecisions) return;
        const changed = decisions.filter(({chosenRank}) => chosenRank > 0).length;
        const fallbacks = decisions.filter(({fallback}) => fallback).length;
        const parts = [
            plural(tokens, "token"),
            plural(decisions.length, "decision"),
            `${formatInteger(changed)} changed`
        ];
        if (fallbacks > 0) parts.push(`${formatInteger(fallbacks)} with nothing accepted`);
        printLines([this.#paint("dim", parts.join(", "))]);
    }
}

/** One JSON object a line. */
export class ChatJson implements ChatView {
    readonly #sides: ChatSides;
    readonly #options: ChatOptions;

    constructor(sides: ChatSides, options: ChatOptions) {
        this.#sides = sides;
        this.#options = options;
    }

    greet(): void {}

    async ask(prompt: string, signal: AbortSignal): Promise<void> {
        const {maxTokens, showDecisions} = this.#options;
        const {aligned, raw, aligner} = this.#sides;
        const rawAnswer = await raw?.answer(prompt, {maxTokens, signal});
        aligner.resetStats();
        const answer = await aligned.answer(prompt, {maxTokens, signal});
        const {threshold, candidates} = aligner.settings();
        const result = {
            prompt,
            answer: answer.text,
            ...(rawAnswer === undefined ? {} : {raw: rawAnswer.text}),
            aborted: answer.aborted,
            mode: aligner.mode,
            threshold,
            candidates,
            tokens: answer.tokens,
            seconds: Number(answer.seconds.toFixed(4)),
            stats: aligned.stats(),
            ...(showDecisions ? {decisions: answer.decisions.map((event) => evaluatedOf(event))} : {})
        };
        printJsonLine(result);
    }
}

function evaluatedOf({
    position,
    candidates,
    chosenRank,
    fallback,
    waves,
    by
}: SpokenAnswer["decisions"][number]): object {
    const ranked = candidates.map((candidate, rank) => ({rank, ...candidate}));
    const evaluated = ranked.filter(({acceptProbability, rank}) => acceptProbability !== null || rank === chosenRank);
    return {position, chosenRank, fallback, waves, by, candidates: evaluated};
}
