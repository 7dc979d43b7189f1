/** Prints for commands. Answers and results go to stdout, everything about them to stderr. */
import {clearScreenDown, moveCursor} from "node:readline";
import {visible, visibleJson} from "../visible.js";
import {cutTo} from "./format.js";

export function printLines(lines: readonly string[]): void {
    process.stdout.write(`${lines.join("\n")}\n`);
}

export function printJson(value: object): void {
    process.stdout.write(`${visibleJson(value, 2)}\n`);
}

/** Prints a value as JSON on one line. */
export function printJsonLine(value: object): void {
    process.stdout.write(`${visibleJson(value)}\n`);
}

/** A line on stderr that is overwritten by the next one. Silent unless stderr is a terminal. */
export class Progress {
    readonly #stream = process.stderr;

    show(text: string): void {
        if (!this.#stream.isTTY) return;
        this.#stream.write(`\r\x1b[2K${cutTo(visible(text), this.#stream.columns - 1)}`);
    }

    clear(): void {
        if (this.#stream.isTTY) this.#stream.write("\r\x1b[2K");
    }
}

/** Lines at the end of the terminal that are drawn again and again while they grow. */
export class LiveRegion {
    readonly #stream = process.stdout;
    #drawn = 0;

    /** Leaves out lines at the top that do not fit the screen, because lines that have scrolled away cannot be drawn over. */
    draw(lines: readonly string[]): void {
        const shown = lines.slice(-Math.max(1, this.#stream.rows - 2));
        this.#erase();
        this.#stream.write(`${shown.join("\n")}\n`);
        this.#drawn = shown.length;
    }

    /** Leaves all lines on the terminal. */
    finish(lines: readonly string[]): void {
        this.#erase();
        printLines(lines);
        this.#drawn = 0;
    }

    #erase(): void {
        if (this.#drawn === 0) return;
        moveCursor(this.#stream, -1000, -this.#drawn);
        clearScreenDown(this.#stream);
    }
}
