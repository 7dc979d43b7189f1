import stringWidth from "string-width";

export interface Table {
    title: string;
    columns: readonly string[];
    /** The first cell of a row is its name. */
    rows: readonly (readonly string[])[];
}

/** The table as aligned text, which is also Markdown. */
export function renderTable({title, columns, rows}: Table): string {
    const all = [columns, ...rows];
    const widths = columns.map((_, i) => Math.max(3, ...all.map((row) => stringWidth(row[i] ?? ""))));
    const pad = (text: string, i: number) => {
        const space = " ".repeat(Math.max(0, (widths[i] as number) - stringWidth(text)));
        return i === 0 ? text + space : space + text;
    };
    const line = (row: readonly string[]) => `| ${columns.map((_, i) => pad(row[i] ?? "", i)).join(" | ")} |`;
    const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
    return [`### ${title}`, "", line(columns), rule, ...rows.map(line), ""].join("\n");
}

/** Three significant digits. */
export function short(value: number): string {
    if (!Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
