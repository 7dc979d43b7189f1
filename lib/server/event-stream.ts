/** Server-sent events. */
import {toApiError} from "./api-error.js";

export interface EventStreamOptions {
    /** Seconds between comments that keep the connection open while nothing else is sent. */
    keepAlive: number;
    /** The reader went away. */
    onCancel(): void;
    /** What follows the last event. */
    last?: string;
    onError(error: unknown): void;
}

/** A response whose events are what `run` sends, as JSON. A failure is its last event. */
export function eventStream(
    run: (send: (data: object, event?: string) => void) => Promise<void>,
    {keepAlive, onCancel, last, onError}: EventStreamOptions
): Response {
    const encoder = new TextEncoder();
    let timer: NodeJS.Timeout | undefined;
    let open = true;
    const body = new ReadableStream<Uint8Array>({
        async start(controller) {
            const write = (text: string) => {
                if (open) controller.enqueue(encoder.encode(text));
            };
            timer = setInterval(() => write(": keep-alive\n\n"), keepAlive * 1000);
            timer.unref();
            const send = (data: object, event?: string) =>
                write(`${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`);
            void run(send)
                .then(() => {
                    if (last !== undefined) write(`data: ${last}\n\n`);
                })
                .catch((error) => {
                    onError(error);
                    send(toApiError(error).body);
                })
                .finally(() => {
                    clearInterval(timer);
                    if (open) controller.close();
                    open = false;
                });
        },
        cancel() {
            open = false;
            clearInterval(timer);
            onCancel();
        }
    });
    return new Response(body, {
        headers: {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            // nginx would gather the events otherwise.
            "x-accel-buffering": "no"
        }
    });
}
