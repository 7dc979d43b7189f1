/** A conversation with both sides, as plain data that changes by copies. */
import type {TokenTrace} from "../lib/server/trace.js";
import type {Message, Progress} from "./api.js";

export type Side = "raw" | "aligned";
export const sides: readonly Side[] = ["raw", "aligned"];

export interface Answer {
    tokens: readonly TokenTrace[];
    /** Undefined until the server has taken the question. */
    progress: Progress | undefined;
    /** Why it ended early. */
    error: string | undefined;
}

export interface Turn {
    question: string;
    answers: Record<Side, Answer>;
}

/** What an answer shows while its turn has not come. */
export const noProgress: Progress = {tokens: 0, decodes: 0, seconds: 0};

export const emptyAnswer: Answer = {tokens: [], progress: undefined, error: undefined};

export function textOf({tokens}: Answer): string {
    return tokens.map(({text}) => text).join("");
}

/** What one side has been asked and has said. */
export function messagesOf(turns: readonly Turn[], side: Side): Message[] {
    return turns.flatMap(({question, answers}, i): Message[] => {
        const asked: Message = {role: "user", content: question};
        if (i === turns.length - 1) return [asked];
        return [asked, {role: "assistant", content: textOf(answers[side])}];
    });
}

/** The last turn's answer of one side, changed. */
export function withAnswer(turns: readonly Turn[], side: Side, change: (answer: Answer) => Answer): Turn[] {
    const last = turns.at(-1);
    if (last === undefined) return [];
    return [...turns.slice(0, -1), {...last, answers: {...last.answers, [side]: change(last.answers[side])}}];
}

/** "49 tokens, 0.98 decodes per token, 812 tokens per second" */
export function describe(progress: Progress | undefined): string {
    if (progress === undefined) return "";
    if (progress.tokens === 0) return "waiting";
    const {tokens, decodes, seconds} = progress;
    const speed = seconds > 0 ? `, ${(tokens / seconds).toFixed(0)} tokens per second` : "";
    return `${tokens} tokens, ${(decodes / tokens).toFixed(2)} decodes per token${speed}`;
}
