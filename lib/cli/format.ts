/** How things look: pure functions from values to text. Nothing here prints or reads the terminal, except for `terminal`. */
import {styleText} from "node:util";
import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";

export type Style = Parameters<typeof styleText>[0];

/** The abilities of the terminal behind stdout. */
export interface Terminal {
    color: boolean;
    width: number;
    isTty: boolean;
}

/** Width assumed where there is no terminal to ask. */
const pipeWidth = 100;

export function terminal(stream: NodeJS.WriteStream = process.stdout): Terminal {
    // This is Node's own rule for NO_COLOR, FORCE_COLOR and streams that are no terminal. styleText keeps it for single styles only.
    const color = styleText("bold", "x", {stream}) !== "x";
    const width = stream.columns ?? (Number(process.env.COLUMNS) || pipeWidth);
    return {color, width, isTty: stream.isTTY === true};
}

export type Paint = (style: Style, text: string) => string;

export function painter(color: boolean): Paint {
    return (style, text) => (color && text !== "" ? styleText(style, text, {validateStream: false}) : text);
}

/** Breaks at spaces where possible; no line is wider than `width`. */
export function wrap(text: string, width: number): string[] {
    return wrapAnsi(text, width, {hard: true, trim: true}).split("\n");
}

export function pad(text: string, width: number, align: "left" | "right" = "left"): string {
    const fill = " ".repeat(Math.max(0, width - stringWidth(text)));
    return align === "left" ? text + fill : fill + text;
}

/** As much of a text without styles as fits into `width` columns, with an ellipsis where something is left out. */
export function cutTo(text: string, width: number): string {
    if (stringWidth(text) <= width) return text;
    let cut = [...text];
    while (cut.length > 0 && stringWidth(cut.join("")) >= width) cut = cut.slice(0, -1);
    return `${cut.join("")}…`;
}

/** Two texts side by side, each wrapped into half of the width. */
export function sideBySide(left: string, right: string, width: number, paint: Paint): string[] {
    const gutter = ` ${paint("dim", "│")} `;
    const column = Math.floor((width - stringWidth(gutter)) / 2);
    const [a, b] = [wrap(left, column), wrap(right, column)];
    return Array.from({length: Math.max(a.length, b.length)}, (_, i) =>
        `${pad(a[i] ?? "", column)}${gutter}${b[i] ?? ""}`.trimEnd()
    );
}

/** `label  value` lines with the values aligned, and wrapped where a width is given. */
export function facts(
    rows: readonly (readonly [label: string, value: string])[],
    paint: Paint,
    width?: number
): string[] {
    const labels = Math.max(...rows.map(([label]) => stringWidth(label)));
    return rows.flatMap(([label, value]) => {
        const [first, ...more] = width === undefined ? [value] : wrap(value, Math.max(30, width - labels - 4));
        return [
            `  ${paint("dim", pad(label, labels))}  ${first}`,
            ...more.map((line) => " ".repeat(labels + 4) + line)
        ];
    });
}

/** Columns as wide as their widest cell. The first is aligned left, the others as told. */
export function table(
    header: readonly string[],
    rows: readonly (readonly string[])[],
    align: readonly ("left" | "right")[],
    paint: Paint
): string[] {
    const widths = header.map((title, i) =>
        Math.max(...[title, ...rows.map((row) => row[i] ?? "")].map((cell) => stringWidth(cell)))
    );
    const line = (cells: readonly string[]) =>
        `  ${cells.map((cell, i) => pad(cell, widths[i] ?? 0, align[i])).join("   ")}`.trimEnd();
    return [paint("dim", line(header)), ...rows.map(line)];
}

/**
 * A table where it fits into `width`; otherwise with rows and columns exchanged; otherwise a block a row, its first cell above what the
 * other columns hold.
 */
export function fittingTable(
    header: readonly string[],
    rows: readonly (readonly string[])[],
    align: readonly ("left" | "right")[],
    {paint, width}: {paint: Paint; width: number}
): string[] {
    const fits = (lines: readonly string[]) => lines.every((line) => stringWidth(line) <= width);
    const asGiven = table(header, rows, align, paint);
    if (fits(asGiven)) return asGiven;
    const [titles = [], ...others] = header.map((name, i) => [name, ...rows.map((row) => row[i] ?? "")]);
    const sides: ("left" | "right")[] = ["left", ...rows.map(() => "right" as const)];
    const exchanged = table(titles, others, sides, paint);
    if (rows.length > 1 && fits(exchanged)) return exchanged;
    return rows.flatMap(([first = "", ...cells], i) => [
        ...(i > 0 ? [""] : []),
        ...wrap(`${header[0]} ${first}`.trim(), width - 2).map((line) => `  ${line}`),
        ...facts(
            cells.map((cell, j) => [header[j + 1] ?? "", cell] as const),
            paint
        ).map((line) => `  ${line}`)
    ]);
}

/** Decimal units, as file managers count. */
export function bytes(count: number): string {
    const units = ["bytes", "kB", "MB", "GB"];
    const power = count < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(count) / 3));
    return power === 0 ? `${count} bytes` : `${(count / 1000 ** power).toFixed(2)} ${units[power]}`;
}

export function percent(share: number): string {
    return `${(100 * share).toFixed(1)} %`;
}

/** Four significant digits, for values of any size. */
export function short(value: number): string {
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e5)
        ? value.toExponential(2)
        : Number(value.toPrecision(4)).toString();
}
