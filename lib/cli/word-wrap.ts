/** Wraps text by words while it arrives in pieces. */
import stringWidth from "string-width";

/** Writes added text word by word: the last word waits until it is known to have ended. Styles within words count no width. */
export class WordWrap {
    readonly #width: number;
    readonly #write: (text: string) => void;
    #column = 0;
    #spaces = "";
    #word = "";

    /** `width` in columns; Infinity writes everything as it comes. */
    constructor(width: number, write: (text: string) => void) {
        this.#width = width;
        this.#write = write;
    }

    add(text: string): void {
        if (this.#width === Number.POSITIVE_INFINITY) {
            this.#write(text);
            return;
        }
        for (const part of text.split(/(\n| +)/)) {
            if (part === "") continue;
            if (part === "\n") {
                this.end();
                this.#write("\n");
                this.#spaces = "";
                this.#column = 0;
            } else if (part.startsWith(" ")) {
                this.end();
                this.#spaces += part;
            } else this.#word += part;
        }
    }

    /** Writes the word that waits. Spaces at the end of a line are left out. */
    end(): void {
        if (this.#word === "") return;
        const [spaces, word] = [stringWidth(this.#spaces), stringWidth(this.#word)];
        const breaks = this.#column > 0 && this.#column + spaces + word > this.#width;
        this.#write((breaks ? "\n" : this.#spaces) + this.#word);
        // A word wider than the line is broken by the terminal.
        this.#column = (breaks ? word : this.#column + spaces + word) % this.#width;
        this.#spaces = "";
        this.#word = "";
    }
}
