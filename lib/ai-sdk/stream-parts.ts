import {randomUUID} from "node:crypto";
import type {LanguageModelV4StreamPart} from "@ai-sdk/provider";
import type {ChatCall, ChatPart} from "../chat/respond.js";

/** Makes the AI SDK's parts, which begin and end, of the pieces of an answer. */
export class StreamParts {
    readonly #send: (part: LanguageModelV4StreamPart) => void;
    #open: {type: "text" | "reasoning"; id: string} | undefined;
    /** Ids of the calls, by their index in the answer. */
    readonly #calls: string[] = [];
    /** The call whose arguments are being written. */
    #writing: string | undefined;

    constructor(send: (part: LanguageModelV4StreamPart) => void) {
        this.#send = send;
    }

    add(part: ChatPart): void {
        if (part.type === "call") this.#addCall(part);
        else this.#addText(part.type, part.text);
    }

    /** Sends the calls whole, which the pieces were of. One that was cut short has its end, and is no call. */
    end(calls: readonly ChatCall[]): void {
        this.#close();
        if (this.#writing !== undefined) this.#send({type: "tool-input-end", id: this.#writing});
        for (const [i, {name, input}] of calls.entries())
            this.#send({type: "tool-call", toolCallId: this.#calls[i] ?? randomUUID(), toolName: name, input});
    }

    #addText(type: "text" | "reasoning", delta: string): void {
        if (this.#open?.type !== type) {
            this.#close();
            this.#open = {type, id: randomUUID()};
            this.#send({type: `${type}-start`, id: this.#open.id});
        }
        this.#send({type: `${type}-delta`, id: this.#open.id, delta});
    }

    #addCall({index, name, text, done}: ChatPart & {type: "call"}): void {
        this.#close();
        let id = this.#calls[index];
        if (id === undefined) {
            id = randomUUID();
            this.#calls[index] = id;
            this.#writing = id;
            this.#send({type: "tool-input-start", id, toolName: name});
        }
        if (text !== "") this.#send({type: "tool-input-delta", id, delta: text});
        if (!done) return;
        this.#writing = undefined;
        this.#send({type: "tool-input-end", id});
    }

    #close(): void {
        if (this.#open !== undefined) this.#send({type: `${this.#open.type}-end`, id: this.#open.id});
        this.#open = undefined;
    }
}
