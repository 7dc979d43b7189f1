/** A piece of an answer's text, with whatever is known about it. */
interface TextPiece {
    text: string;
}

/**
 * Holds back text of an answer that may begin a stop text, and ends the answer where one is complete. node-llama-cpp's own stop triggers lose what
 * they hold back when the answer ends otherwise.
 */
export class StopTexts<Piece extends TextPiece> {
    readonly #found = new AbortController();
    readonly #stops: readonly string[];
    #held: Piece[] = [];

    constructor(stops: readonly string[]) {
        this.#stops = stops;
    }

    /** Aborted once a stop text was written: nothing of the answer comes after it. */
    get signal(): AbortSignal {
        return this.#found.signal;
    }

    get isFound(): boolean {
        return this.signal.aborted;
    }

    /** Takes what was written; gives what belongs to the answer for certain. */
    add(pieces: readonly Piece[]): Piece[] {
        if (this.isFound) return [];
        const held = [...this.#held, ...pieces];
        const text = textOf(held);
        // The one that is complete first, so that it does not matter how the text is cut into pieces.
        const [first] = this.#stops
            .map((stop) => ({at: text.indexOf(stop), stop}))
            .filter(({at}) => at >= 0)
            .sort((a, b) => a.at + a.stop.length - (b.at + b.stop.length) || a.at - b.at);
        if (first !== undefined) {
            this.#held = [];
            this.#found.abort();
            return cut(held, first.at);
        }
        let certain = 0;
        while (certain < text.length && !this.#stops.some((stop) => stop.startsWith(text.slice(certain)))) certain++;
        const shown: Piece[] = [];
        for (const piece of held) {
            if (piece.text.length > certain) break;
            certain -= piece.text.length;
            shown.push(piece);
        }
        this.#held = held.slice(shown.length);
        return shown;
    }

    /** Gives what is held back, when nothing comes after it that could make it a stop text. */
    rest(): Piece[] {
        return this.#held.splice(0);
    }
}

export function textOf(pieces: readonly TextPiece[]): string {
    return pieces.map(({text}) => text).join("");
}

/** The pieces of the first so many characters. */
function cut<Piece extends TextPiece>(pieces: readonly Piece[], length: number): Piece[] {
    let left = length;
    const result: Piece[] = [];
    for (const piece of pieces) {
        if (left <= 0) break;
        result.push({...piece, text: piece.text.slice(0, left)});
        left -= piece.text.length;
    }
    return result;
}
