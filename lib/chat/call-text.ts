/** The head of a call's JSON, as the grammar of calls that must come has it. */
const head = /^\s*\{\s*"name"\s*:\s*"([\w-]+)"\s*,\s*"arguments"\s*:/;

/** What a piece of text adds to a call. */
export interface CallPiece {
    name: string;
    /** Of the arguments, without white space between their parts. */
    text: string;
    /** The arguments are complete. */
    done: boolean;
}

/** The JSON of a call that must come, `{"name": …, "arguments": …}`, while it is written. */
export class CallText {
    /** True once the arguments are complete. */
    isWhole = false;
    /** Undefined until it is known. */
    #name: string | undefined;
    #head = "";
    #depth = 0;
    #inString = false;
    #isEscaped = false;

    /** Takes text; gives what it adds, if anything is to be told. */
    add(text: string): CallPiece | undefined {
        if (this.isWhole) return undefined;
        if (this.#name !== undefined) {
            const added = this.#arguments(text);
            return added === "" && !this.isWhole ? undefined : {name: this.#name, text: added, done: this.isWhole};
        }
        this.#head += text;
        const found = head.exec(this.#head);
        if (found === null) return undefined;
        const name = found[1] as string;
        this.#name = name;
        const added = this.#arguments(this.#head.slice(found[0].length));
        return {name, text: added, done: this.isWhole};
    }

    #arguments(text: string): string {
        let added = "";
        for (const character of text) {
            if (this.isWhole) break;
            if (this.#inString) this.#inText(character);
            else if (/\s/.test(character)) continue;
            else if (character === '"') this.#inString = true;
            else if ("{[".includes(character)) this.#depth++;
            else if ("]}".includes(character)) {
                this.isWhole = --this.#depth <= 0;
                // It closes the call itself, behind arguments that are no object.
                if (this.#depth < 0) break;
            }
            added += character;
        }
        return added;
    }

    #inText(character: string): void {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (character === "\\") this.#isEscaped = true;
        else if (character === '"') this.#inString = false;
    }
}
