/** Server-sent events. */
import {ApiError, toApiError} from "./api-error.js";

/** Bytes of a stream that may wait for its reader. One who reads more slowly than the answer grows is given up, so that no memory is held for him without bound. */
const mostUnread = 2 ** 22;

export interface EventStreamOptions {
    /** Seconds between comments that keep the connection open while nothing else is sent. */
    keepAlive: number;
    /** The reader went away, or reads too slowly. */
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
    let largest = 0;
    const leave = () => {
        open = false;
        clearInterval(timer);
        onCancel();
    };
    const source = {
        async start(controller: ReadableStreamDefaultController<Uint8Array>) {
            const write = (text: string) => {
                if (!open) return;
                const event = encoder.encode(text);
                largest = Math.max(largest, event.byteLength);
                controller.enqueue(event);
                // One event may be larger than that, and still be on its way when the next one comes.
                if ((controller.desiredSize ?? 0) + 2 * largest >= 0) return;
                leave();
                controller.error(new ApiError(408, "The events were read too slowly.", {code: "slow_reader"}));
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
        cancel: leave
    };
    const body = new ReadableStream<Uint8Array>(source, new ByteLengthQueuingStrategy({highWaterMark: mostUnread}));
    return new Response(body, {
        headers: {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            // nginx would gather the events otherwise.
            "x-accel-buffering": "no"
        }
    });
}
