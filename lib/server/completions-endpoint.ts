/** POST /v1/completions */
import type {LlamaContextSequence} from "node-llama-cpp";
import {type Alignment, alignmentOf} from "./alignment.js";
import type {Answered} from "./answer.js";
import {refused} from "./api-error.js";
import {readBody} from "./body.js";
import {type CompletionTask, complete, promptLogprobs, promptTokensOf, requireTokens} from "./completion.js";
import {CompletionChoice} from "./completion-choice.js";
import {eventStream} from "./event-stream.js";
import {samplingOf} from "./sampling.js";
import {type CompletionRequest, completionSchema} from "./schemas/completion.js";
import {Lifetime, type Service} from "./service.js";
import {usageOf} from "./usage.js";

const defaultMaxTokens = 16;

export async function completions(service: Service, request: Request): Promise<Response> {
    const body = await readBody(request, completionSchema, service.options.maxBodyBytes);
    const {engine, options} = service;
    const prompts = promptsOf(body.prompt);
    const {prepared, alignment} = await prepare(service, body, prompts);
    const count = body.n ?? 1;
    // More prompts than sequences wait for each other, not in place of other requests.
    engine.scheduler.requireRoom(Math.min(prompts.length * count, engine.scheduler.size));
    const life = new Lifetime(service, request, {prefix: "cmpl", alignment});
    const head = {id: life.id, object: "text_completion", created: life.created, model: body.model};
    const choices = prompts.flatMap((_, i) =>
        Array.from({length: count}, (_, j) => {
            const shown = {logprobs: body.logprobs ?? undefined, trace: body.mara?.trace === true};
            return new CompletionChoice(engine.model, i * count + j, shown);
        })
    );
    const runAll = (add: (delta: object) => void) =>
        life.runAll(
            choices.map((choice, at) => {
                const task: CompletionTask = {...(prepared[Math.floor(at / count)] as Prepared), ...life.task};
                return {
                    tokens: task.tokens,
                    answer: async (sequence) => {
                        if (body.echo === true) {
                            const {prompt} = prepared[Math.floor(at / count)] as Prepared;
                            const told = body.logprobs == null ? [] : await measured(sequence, task, body.logprobs);
                            add(choice.echo(prompt, told));
                        }
                        const onPieces = (...given: Parameters<typeof choice.add>) => add(choice.add(...given));
                        const answered = await complete(engine, sequence, task, {index: at % count, onPieces});
                        add(choice.finish(answered));
                        service.metrics.answered(body.model, answered);
                        return answered;
                    }
                };
            })
        );
    const usage = (answered: readonly Answered[]) =>
        usageOf(
            answered,
            answered.filter((_, i) => i % count === 0)
        );
    if (body.stream !== true) {
        try {
            const answered = await runAll(() => {});
            const whole = choices.map((choice, i) => choice.whole(answered[i] as Answered));
            return Response.json({...head, choices: whole, usage: usage(answered)});
        } finally {
            life.end();
        }
    }
    const includeUsage = body.stream_options?.include_usage === true;
    return eventStream(
        async (send) => {
            try {
                const none = includeUsage ? {usage: null} : {};
                const answered = await runAll((delta) => send({...head, choices: [delta], ...none}));
                if (includeUsage) send({...head, choices: [], usage: usage(answered)});
            } finally {
                life.end();
            }
        },
        {keepAlive: options.keepAlive, last: "[DONE]", onCancel: life.leave, onError: (error) => service.failed(error)}
    );
}

type Prepared = Omit<CompletionTask, keyof Lifetime["task"]> & {prompt: string};

/** The prompt's own tokens, without what was put in front. */
async function measured(
    sequence: LlamaContextSequence,
    {tokens, added, signal}: CompletionTask,
    top: number
): ReturnType<typeof promptLogprobs> {
    return (await promptLogprobs(sequence, tokens, top, signal)).slice(added);
}

/** @throws ApiError 400, 404 */
async function prepare(
    {engine}: Service,
    body: CompletionRequest,
    prompts: readonly (string | readonly number[])[]
): Promise<{prepared: Prepared[]; alignment: Alignment | undefined}> {
    if (body.stream_options != null && body.stream !== true) throw refused("stream_options", "needs stream: true");
    if (body.max_tokens === 0 && body.echo !== true) throw refused("max_tokens", "0 needs echo: true");
    const sampling = await samplingOf(engine, body);
    const alignment = alignmentOf(engine, body, sampling);
    const stop = typeof body.stop === "string" ? [body.stop] : (body.stop ?? []);
    const isList = typeof body.prompt !== "string" && typeof body.prompt[0] !== "number";
    const prepared = prompts.map((given, i) => {
        const param = isList ? `prompt[${i}]` : "prompt";
        if (typeof given === "string") engine.requireTokenizable(given, param);
        else requireTokens(engine, given, param);
        const {tokens, added} = promptTokensOf(engine, given);
        const room = engine.roomFor(tokens, param);
        return {
            tokens,
            added,
            sampling,
            stop,
            maxTokens: Math.min(body.max_tokens ?? defaultMaxTokens, room),
            wantsProbabilities: body.logprobs != null,
            tellsTokens: body.logprobs != null || body.mara?.trace === true,
            prompt: typeof given === "string" ? given : engine.model.detokenize(tokens.slice(added))
        };
    });
    return {prepared, alignment};
}

function promptsOf(prompt: CompletionRequest["prompt"]): (string | readonly number[])[] {
    if (typeof prompt === "string") return [prompt];
    return typeof prompt[0] === "number" ? [prompt as number[]] : (prompt as (string | number[])[]);
}
