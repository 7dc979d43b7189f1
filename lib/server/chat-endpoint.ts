/** POST /v1/chat/completions */
import type {Answered} from "./answer.js";
import {readBody} from "./body.js";
import {choiceOptions, prepareChat, runChats} from "./chat-run.js";
import {Choice} from "./choice.js";
import {eventStream} from "./event-stream.js";
import {chatSchema} from "./schemas/chat.js";
import {Lifetime, type Service} from "./service.js";
import {usageOf} from "./usage.js";

export async function chatCompletions(service: Service, request: Request): Promise<Response> {
    const body = await readBody(request, chatSchema, service.options.maxBodyBytes);
    const prepared = await prepareChat(service, body);
    const {scheduler} = service.engine;
    // More answers than sequences wait for each other, not in place of other requests.
    scheduler.requireRoom(Math.min(body.n ?? 1, scheduler.size));
    const life = new Lifetime(service, request, {prefix: "chatcmpl", alignment: prepared.alignment});
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
