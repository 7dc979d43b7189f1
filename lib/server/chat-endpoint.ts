/** POST /v1/chat/completions */
import {alignmentOf} from "./alignment.js";
import type {Answered} from "./answer.js";
import {refused} from "./api-error.js";
import {readBody} from "./body.js";
import {type ChatTask, chat, chatTokens} from "./chat.js";
import {Choice} from "./choice.js";
import {eventStream} from "./event-stream.js";
import {historyOf} from "./history.js";
import {samplingOf} from "./sampling.js";
import {type ChatRequest, chatSchema} from "./schemas/chat.js";
import {Lifetime, type Service} from "./service.js";
import {formOf} from "./tools.js";
import type {Tracer} from "./trace.js";
import {usageOf} from "./usage.js";

export async function chatCompletions(service: Service, request: Request): Promise<Response> {
    const body = await readBody(request, chatSchema, service.options.maxBodyBytes);
    const prepared = await prepareChat(service, body);
    service.engine.scheduler.requireRoom(body.n ?? 1);
    const life = new Lifetime(service, request, "chatcmpl");
    const head = {id: life.id, created: life.created, model: body.model, system_fingerprint: null};
    const choices = Array.from(
        {length: body.n ?? 1},
        (_, index) => new Choice(service.engine, {...choiceOptions(body), isCall: prepared.isCall, index})
    );
    const answerAll = (add: (choice: Choice, delta: object | undefined) => void) =>
        runChats(service, life, {prepared, choices, model: body.model}, add);
    if (body.stream !== true) {
        try {
            const answered = await answerAll(() => {});
            return Response.json({
                ...head,
                object: "chat.completion",
                choices: choices.map((choice, i) => choice.whole(answered[i] as Answered)),
                usage: usageOf(answered)
            });
        } finally {
            life.end();
        }
    }
    const {keepAlive} = service.options;
    const includeUsage = body.stream_options?.include_usage === true;
    return eventStream(
        async (send) => {
            const chunk = (part: object) =>
                send({
                    ...head,
                    object: "chat.completion.chunk",
                    ...part,
                    ...(includeUsage && !("usage" in part) ? {usage: null} : {})
                });
            try {
                for (const index of choices.keys()) {
                    const delta = {role: "assistant", content: "", refusal: null};
                    chunk({choices: [{index, delta, logprobs: null, finish_reason: null}]});
                }
                const answered = await answerAll((_, delta) => {
                    if (delta !== undefined) chunk({choices: [delta]});
                });
                if (includeUsage) chunk({choices: [], usage: usageOf(answered)});
            } finally {
                life.end();
            }
        },
        {keepAlive, last: "[DONE]", onCancel: life.leave, onError: (error) => service.failed(error)}
    );
}

/** What a chat asks for. */
type PreparedChat = Omit<ChatTask, "signal" | "running" | "onAbandoned"> & {isCall: boolean};

/** @throws ApiError 400, 404 */
async function prepareChat({engine}: Service, body: ChatRequest): Promise<PreparedChat> {
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
    const tokens = chatTokens(engine, history, functions);
    const room = engine.roomFor(tokens, "messages");
    const asked = body.max_completion_tokens ?? body.max_tokens ?? room;
    const stop = typeof body.stop === "string" ? [body.stop] : (body.stop ?? []);
    const wantsProbabilities = body.logprobs === true;
    const maxTokens = Math.min(asked, room);
    return {
        tokens,
        alignment,
        wantsProbabilities,
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

function choiceOptions(body: ChatRequest) {
    return {
        topLogprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : undefined,
        trace: body.mara?.trace === true
    };
}

/** Gives every choice its answer, in as many sequences as are free. The first failure ends them all. */
async function runChats(
    {engine, metrics}: Service,
    life: Lifetime,
    {prepared, choices, model}: {prepared: PreparedChat; choices: readonly Choice[]; model: string},
    add: (choice: Choice, delta: object | undefined) => void
): Promise<Answered[]> {
    const start = performance.now();
    const task: ChatTask = {
        ...prepared,
        signal: life.signal,
        running: life.slots,
        onAbandoned: (tokens) => metrics.abandoned(tokens)
    };
    const answers = choices.map((choice, index) =>
        engine.scheduler.run(task.tokens, life.signal, async (slot) => {
            let isFirst = true;
            const answered = await chat(engine, slot, task, index, (event, tracer: Tracer) => {
                if (isFirst) metrics.firstToken((performance.now() - start) / 1000);
                isFirst = false;
                add(choice, choice.add(event, tracer));
            });
            for (const delta of choice.finish(answered)) add(choice, delta);
            metrics.answered(model, answered);
            return answered;
        })
    );
    try {
        return await Promise.all(answers);
    } catch (error) {
        life.leave();
        await Promise.allSettled(answers);
        throw error;
    }
}
