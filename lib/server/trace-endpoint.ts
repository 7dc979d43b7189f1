/** POST /mara/trace: a conversation with its traces as one page, to keep or to show. */
import {z} from "zod";
import {maxJudging} from "../native.js";
import {type ChatTurn, chatPage} from "../report/chat-page.js";
import {type ChoiceView, seenCandidate} from "../report/token-view.js";
import {readBody} from "./body.js";
import type {Service} from "./service.js";

/** The first that is none ends the check of a long list. */
const rank = z.int().min(0, {abort: true});

const candidate = z.strictObject({
    rank,
    token: z.int(),
    text: z.string(),
    probability: z.number(),
    accept: z.number().nullable(),
    by: z.enum(["agent", "student", "judge"]).nullable(),
    opinions: z.array(z.number().nullable()).max(maxJudging).optional(),
    rejected: z.boolean()
});
const decision = z.strictObject({
    rank,
    fallback: z.boolean(),
    by: z.enum(["agent", "student", "judge"]),
    waves: z.int(),
    count: z.int(),
    candidates: z.array(candidate)
});
const token = z.strictObject({text: z.string(), decisions: z.array(decision)});

export const traceSchema = z.strictObject({
    description: z.string().max(1000).describe("Stands at the top."),
    turns: z
        .array(
            z.strictObject({
                question: z.string(),
                answers: z
                    .array(z.strictObject({side: z.string().max(100, {abort: true}), tokens: z.array(token)}))
                    .max(8)
            })
        )
        .max(1000)
});

/** Traces are many times as large as the texts that requests ask about. */
const timesLarger = 64;

export async function tracePage(service: Service, request: Request): Promise<Response> {
    const body = await readBody(request, traceSchema, service.options.maxBodyBytes * timesLarger);
    const turns = body.turns.map(
        ({question, answers}): ChatTurn => ({
            question,
            answers: answers.map(({side, tokens}) => ({
                side,
                pieces: tokens.map(({text, decisions}) => ({text, thought: false, choices: decisions.map(viewOf)}))
            }))
        })
    );
    return new Response(chatPage(turns, body.description), {
        headers: {
            "content-type": "text/html; charset=utf-8",
            "content-disposition": 'attachment; filename="conversation.html"',
            "cache-control": "no-store"
        }
    });
}

function viewOf({rank, fallback, count, candidates}: z.output<typeof decision>): ChoiceView {
    const seen = candidates
        .filter((one) => one.rejected || one.rank === rank)
        .map(({rank, text, probability, accept, by, opinions}) =>
            seenCandidate([rank, text, probability, accept], by, opinions)
        );
    return {rank, fallback, candidates: count, seen};
}
