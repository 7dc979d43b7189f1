import {readFileSync, writeFileSync} from "node:fs";

/** Puts a table, its head first, between the marks `<!-- name -->` and `<!-- /name -->` of a page, in place of what stands there. */
export function writeMarkedTable(
    page: string,
    name: string,
    [head = [], ...rows]: readonly (readonly string[])[]
): void {
    const lines = [head, head.map(() => "---"), ...rows].map((line) => `| ${line.join(" | ")} |`);
    const text = readFileSync(page, "utf8");
    const [before, after] = [text.split(`<!-- ${name} -->`)[0], text.split(`<!-- /${name} -->`)[1]];
    const where = `Found on ${process.platform}-${process.arch} with Node ${process.versions.node}, on the CPU:`;
    writeFileSync(page, `${before}<!-- ${name} -->\n${where}\n\n${lines.join("\n")}\n<!-- /${name} -->${after}`);
}
