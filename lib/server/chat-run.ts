/** Chats as the endpoints ask for them. */
import {type Alignment, alignmentOf} from "./alignment.js";
import type {Answered} from "./answer.js";
import {refused} from "./api-error.js";
import {type ChatTask, chat, rendered} from "./chat.js";
import type {Choice} from "./choice.js";
import {historyOf} from "./history.js";
import {samplingOf} from "./sampling.js";
import type {ChatRequest} from "./schemas/chat.js";
import type {Lifetime, Service} from "./service.js";
import {formOf} from "./tools.js";

/** What a chat asks for. */
export type PreparedChat = Omit<ChatTask, keyof Lifetime["task"]> & {
    alignment: Alignment | undefined;
    isCall: boolean;
};

/** @throws ApiError 400, 404 */
export async function prepareChat({engine}: Service, body: ChatRequest): Promise<PreparedChat> {
    if (body.max_tokens != null && body.max_completion_tokens != null)
        throw refused("max_tokens", "not beside max_completion_tokens");
    if (body.top_logprobs != null && body.logprobs !== true) throw refused("top_logprobs", "needs logprobs: true");
    if (body.stream_options != null && body.stream !== true) throw refused("stream_options", "needs stream: true");
    const sampling = await samplingOf(engine, body);
    const alignment = alignmentOf(engine, body, sampling);
    const {history, functions, grammar, isCall, maxCalls} = await formOf(
        engine,
        historyOf(engine.wrapper, body.messages),
        body
    );
    engine.requireTokenizable(JSON.stringify(body.messages), "messages");
    const {tokens, wrapper} = rendered(engine, history, functions);
    const room = engine.roomFor(tokens, "messages");
    const asked = body.max_completion_tokens ?? body.max_tokens ?? room;
    const stop = typeof body.stop === "string" ? [body.stop] : (body.stop ?? []);
    const wantsProbabilities = body.logprobs === true;
    const maxTokens = Math.min(asked, room);
    return {
        tokens,
        wrapper,
        alignment,
        wantsProbabilities,
        tellsTokens: wantsProbabilities || body.mara?.trace === true,
        history,
        functions,
        grammar,
        maxTokens,
        maxCalls,
        stop,
        sampling,
        isCall
    };
}

export function choiceOptions(body: ChatRequest) {
    return {
        topLogprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : undefined,
        trace: body.mara?.trace === true
    };
}

/** Gives every choice its answer, in as many sequences as are free. The first failure ends them all. */
export async function runChats(
    service: Service,
    life: Lifetime,
    {prepared, choices, model}: {prepared: PreparedChat; choices: readonly Choice[]; model: string},
    add: (choice: Choice, delta: object | undefined) => void
): Promise<Answered[]> {
    const task: ChatTask = {...prepared, ...life.task};
    const {engine, metrics} = service;
    return await life.runAll(
        choices.map((choice, index) => ({
            tokens: task.tokens,
            answer: async (sequence) => {
                const answered = await chat(engine, sequence, task, index, (event, tracer) =>
                    add(choice, choice.add(event, tracer))
                );
                for (const delta of choice.finish(answered)) add(choice, delta);
                metrics.answered(model, answered);
                return answered;
            }
        }))
    );
}
