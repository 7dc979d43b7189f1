/** The page's own server, by paths that lead to it wherever it is mounted. */
import type {TokenTrace} from "../lib/server/trace.js";
import type {MaraFields} from "./settings.js";

export interface Message {
    role: "user" | "assistant";
    content: string;
}

export interface Progress {
    tokens: number;
    decodes: number;
    seconds: number;
}

/** A part of an answer, as it comes. */
export interface Part {
    id: string;
    tokens: TokenTrace[];
    /** Undefined where a part says nothing of it. */
    progress: Progress | undefined;
}

export interface Asked {
    model: string;
    messages: readonly Message[];
    /** Who decides; undefined: nobody. */
    mara: MaraFields | undefined;
}

/** What the server refuses, in its own words. */
export class Refusal extends Error {
    readonly status: number;

    constructor(status: number, message: string) {
        super(message);
        this.status = status;
    }
}

export class Api {
    key = "";
    #next: Change | undefined;
    #isChanging = false;

    async models(signal?: AbortSignal): Promise<string[]> {
        const response = await this.#fetch("v1/models", signal && {signal});
        const {data} = (await response.json()) as {data: {id: string}[]};
        return data.map(({id}) => id);
    }

    /** @throws Refusal; the signal's reason */
    async *answer({model, messages, mara}: Asked, signal: AbortSignal): AsyncGenerator<Part> {
        const body = {model, messages, mara: {trace: true, ...mara}, stream: true, temperature: 0};
        const response = await this.#fetch("v1/chat/completions", {method: "POST", body: JSON.stringify(body), signal});
        for await (const {error, id, choices} of events(response)) {
            if (error !== undefined) throw new Refusal(response.status, error.message);
            const told = choices?.[0]?.mara;
            yield {id, tokens: told?.tokens ?? [], progress: told?.progress ?? told?.stats};
        }
    }

    /**
     * Other settings for an answer that is being generated. They are sent one after the other, and those that another change has overtaken
     * are not sent, so that the last one holds.
     */
    async change(id: string, mara: MaraFields): Promise<void> {
        this.#next = {id, mara};
        if (this.#isChanging) return;
        this.#isChanging = true;
        try {
            for (let next: Change | undefined = this.#next; next !== undefined; next = this.#next) {
                this.#next = undefined;
                const body = JSON.stringify(next.mara);
                await this.#fetch(`mara/generations/${next.id}`, {method: "PATCH", body}).catch(ended);
            }
        } finally {
            this.#isChanging = false;
        }
    }

    /** The conversation as a page of its own. */
    async trace(conversation: object): Promise<Blob> {
        return await (await this.#fetch("mara/trace", {method: "POST", body: JSON.stringify(conversation)})).blob();
    }

    async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
        const headers = {
            "content-type": "application/json",
            ...(this.key === "" ? {} : {authorization: `Bearer ${this.key}`})
        };
        const response = await fetch(path, {...init, headers}).catch((failure: unknown) => {
            throw init.signal?.aborted ? failure : new Error("The server could not be reached");
        });
        if (response.ok) return response;
        const {error} = (await response.json().catch(() => ({}))) as {error?: {message: string}};
        throw new Refusal(response.status, error?.message ?? `The server answered ${response.status}`);
    }
}

interface Change {
    id: string;
    mara: MaraFields;
}

/** An answer that has ended in between takes no more changes. */
function ended(failure: unknown): void {
    if (!(failure instanceof Refusal && failure.status === 404)) throw failure;
}

interface StreamEvent {
    id: string;
    error?: {message: string};
    choices?: {mara?: {tokens?: TokenTrace[]; progress?: Progress; stats?: Progress}}[];
}

async function* events({body}: Response): AsyncGenerator<StreamEvent> {
    const reader = (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never).getReader();
    let text = "";
    try {
        for (;;) {
            const {value, done} = (await reader.read()) as {value?: string; done: boolean};
            if (done) throw new Error("cut off: the connection ended before the answer did");
            text += value;
            for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
                const event = text.slice(0, end);
                text = text.slice(end + 2);
                if (event === "data: [DONE]") return;
                if (event.startsWith("data: {")) yield JSON.parse(event.slice("data: ".length)) as StreamEvent;
            }
        }
    } finally {
        await reader.cancel().catch(() => {});
    }
}
