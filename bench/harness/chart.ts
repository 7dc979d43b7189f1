import {svgDocument, xml} from "../../lib/report/svg.js";
import type {Spread} from "./statistics.js";

export interface Bar {
    label: string;
    value: Spread;
    /** True for our own contender, which is drawn in colour. */
    ours?: boolean;
    /** A bound drawn as a line across the bar: the floor, or the ideal. */
    bound?: number | undefined;
}

export interface Panel {
    title: string;
    unit: string;
    bars: readonly Bar[];
    /** The meaning of the line across a bar. */
    boundName?: string;
}

const size = {width: 400, label: 165, value: 62, row: 16, head: 34, gap: 22, margin: 16};

/** Small multiples of horizontal bars with quartile whiskers. */
export function renderChart(title: string, subtitle: string, panels: readonly Panel[], columns: number): string {
    const heights: number[] = [];
    panels.forEach(({bars}, i) => {
        const row = Math.floor(i / columns);
        heights[row] = Math.max(heights[row] ?? 0, size.head + bars.length * size.row);
    });
    const width = 2 * size.margin + columns * size.width + (columns - 1) * size.gap;
    const top = 64;
    const height = top + heights.reduce((sum, value) => sum + value + size.gap, 0) + size.margin;
    const tops = heights.map((_, row) => top + heights.slice(0, row).reduce((sum, value) => sum + value + size.gap, 0));
    const body = panels.map((panel, i) => {
        const x = size.margin + (i % columns) * (size.width + size.gap);
        return `<g transform="translate(${x} ${tops[Math.floor(i / columns)]})">${renderPanel(panel)}</g>`;
    });
    const style = ".p{fill:#c4ccd4}.o{fill:#2f6f9f}.w{stroke:#1f2328;stroke-width:1}.b{stroke:#c2410c;stroke-width:2}";
    return svgDocument({title, subtitle, width, height, body, style});
}

function renderPanel({title, unit, bars, boundName}: Panel): string {
    const max = Math.max(...bars.map(({value, bound}) => Math.max(value.high, bound ?? 0)));
    const scale = (size.width - size.label - size.value) / max;
    const hint = boundName === undefined ? unit : `${unit}; line: ${boundName}`;
    const lines = bars.map(({label, value, ours, bound}, i) => {
        const y = size.head + i * size.row;
        const end = size.label + value.median * scale;
        const [low, high] = [size.label + value.low * scale, size.label + value.high * scale];
        const limit = bound === undefined ? "" : vertical("b", size.label + bound * scale, y, y + 12);
        return (
            `<text class="t n" x="${size.label - 6}" y="${y + 10}">${xml(label)}</text>` +
            `<rect class="${ours ? "o" : "p"}" x="${size.label}" y="${y}" width="${(end - size.label).toFixed(1)}" height="12"/>` +
            `<line class="w" x1="${low.toFixed(1)}" x2="${high.toFixed(1)}" y1="${y + 6}" y2="${y + 6}"/>${limit}` +
            `<text class="m" x="${(Math.max(end, high, bound === undefined ? 0 : size.label + bound * scale) + 5).toFixed(1)}" y="${y + 10}">${Number(value.median.toPrecision(3))}</text>`
        );
    });
    return [
        `<text class="t h" x="0" y="12">${xml(title)}</text>`,
        `<text class="m" x="0" y="26">${xml(hint)}</text>`,
        ...lines
    ].join("\n");
}

function vertical(name: string, x: number, top: number, bottom: number): string {
    return `<line class="${name}" x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${top}" y2="${bottom}"/>`;
}
