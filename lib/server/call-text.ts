/** The head of a call's JSON, as the grammar of calls that must come has it. */
const head = /^\s*\{\s*"name"\s*:\s*"([\w-]+)"\s*,\s*"arguments"\s*:/;

/** The JSON of a call that must come, `{"name": …, "arguments": …}`, while it is written. */
export class CallText {
    /** Undefined until it is known. */
    name: string | undefined;
    /** True once the arguments are complete. */
    isWhole = false;
    #head = "";
    #depth = 0;
    #inString = false;
    #isEscaped = false;

    /** Takes text; gives what it adds to the arguments, without white space between their parts. */
    add(text: string): string {
        if (this.name !== undefined) return this.#arguments(text);
        this.#head += text;
        const found = head.exec(this.#head);
        if (found === null) return "";
        this.name = found[1] as string;
        return this.#arguments(this.#head.slice(found[0].length));
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
