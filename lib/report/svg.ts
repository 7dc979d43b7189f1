/** Charts as SVG files, for documents that cannot run scripts. */
import {niceStep} from "./ticks.js";

export interface SvgOptions {
    title: string;
    subtitle: string;
    width: number;
    height: number;
    /** Elements in the order of drawing. */
    body: readonly string[];
    /** CSS after the shared classes: t text, m muted, h heading, n end-aligned. */
    style?: string;
}

/** A white sheet with a title and a line below it, in system fonts. */
export function svgDocument({title, subtitle, width, height, body, style = ""}: SvgOptions): string {
    return [
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="11">`,
        `<title>${xml(title)}</title>`,
        `<style>.t{fill:#1f2328}.m{fill:#59636e}.n{text-anchor:end}.h{font-weight:600}${style}</style>`,
        `<rect width="100%" height="100%" fill="#fff"/>`,
        `<text class="t h" x="16" y="26" font-size="16">${xml(title)}</text>`,
        `<text class="m" x="16" y="46">${xml(subtitle)}</text>`,
        ...body,
        "</svg>",
        ""
    ].join("\n");
}

export function xml(text: string): string {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

export interface LinePoint {
    value: number | null;
    /** Drawn as a band. */
    interval?: readonly [low: number, high: number] | null;
}

export interface LinePanel {
    title: string;
    /** One per label. */
    points: readonly LinePoint[];
    color: string;
    format: (value: number) => string;
    /** A dashed line across, with what it means. */
    reference?: {value: number; name: string};
}

const sheet = {width: 640, left: 62, right: 90, top: 62, panel: 150, gap: 34, bottom: 44};

/** Panels one above the other over a common axis. */
export function svgLines(
    {title, subtitle, axis}: {title: string; subtitle: string; axis: string},
    labels: readonly string[],
    panels: readonly LinePanel[]
): string {
    const height = sheet.top + panels.length * sheet.panel + (panels.length - 1) * sheet.gap + sheet.bottom;
    const x = (i: number) =>
        sheet.left + ((sheet.width - sheet.left - sheet.right) * i) / Math.max(1, labels.length - 1);
    const body = panels.map((panel, i) => linePanel(panel, x, sheet.top + i * (sheet.panel + sheet.gap)));
    const foot = height - sheet.bottom;
    for (const [i, label] of labels.entries())
        body.push(`<text class="m c" x="${x(i).toFixed(1)}" y="${foot + 16}">${xml(label)}</text>`);
    body.push(
        `<text class="m c" x="${((x(0) + x(labels.length - 1)) / 2).toFixed(1)}" y="${foot + 34}">${xml(axis)}</text>`
    );
    const style = ".c{text-anchor:middle}.g{stroke:#d8dee4}.r{stroke:#59636e;stroke-dasharray:5 4}";
    return svgDocument({title, subtitle, width: sheet.width, height, body, style});
}

function linePanel(
    {title, points, color, format, reference}: LinePanel,
    x: (i: number) => number,
    top: number
): string {
    const known = points.flatMap(({value, interval}) => [...(value === null ? [] : [value]), ...(interval ?? [])]);
    const ticks = niceTicks([...known, ...(reference === undefined ? [] : [reference.value])]);
    const [low, high] = [ticks[0] as number, ticks.at(-1) as number];
    const [upper, lower] = [top + 16, top + sheet.panel];
    const y = (value: number) => lower - ((value - low) / (high - low)) * (lower - upper);
    const at = (i: number, value: number) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`;
    const right = sheet.width - sheet.right;
    const parts = [`<text class="t h" x="${sheet.left}" y="${top + 4}">${xml(title)}</text>`];
    for (const tick of ticks) {
        const level = y(tick).toFixed(1);
        parts.push(
            `<line class="g" x1="${sheet.left}" x2="${right}" y1="${level}" y2="${level}"/>`,
            `<text class="m n" x="${sheet.left - 6}" y="${(y(tick) + 4).toFixed(1)}">${xml(format(tick))}</text>`
        );
    }
    const banded = points.flatMap(({interval}, i) => (interval == null ? [] : [{i, interval}]));
    if (banded.length > 1) {
        const edge = [
            ...banded.map(({i, interval: [min]}) => at(i, min)),
            ...banded.map(({i, interval: [, max]}) => at(i, max)).reverse()
        ];
        parts.push(`<polygon points="${edge.join(" ")}" fill="${color}" opacity="0.15"/>`);
    }
    if (reference !== undefined) {
        const level = y(reference.value).toFixed(1);
        parts.push(
            `<line class="r" x1="${sheet.left}" x2="${right}" y1="${level}" y2="${level}"/>`,
            `<text class="m" x="${right + 6}" y="${(y(reference.value) + 4).toFixed(1)}">${xml(reference.name)}</text>`
        );
    }
    const drawn = points.flatMap(({value}, i) => (value === null ? [] : [at(i, value)]));
    parts.push(`<polyline points="${drawn.join(" ")}" fill="none" stroke="${color}" stroke-width="2"/>`);
    for (const point of drawn) {
        const [cx, cy] = point.split(",");
        parts.push(`<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`);
    }
    return parts.join("\n");
}

/** Four to seven round numbers that enclose all values. */
function niceTicks(values: readonly number[]): number[] {
    const [min, max] = [Math.min(...values), Math.max(...values)];
    const span = max - min || Math.abs(max) || 1;
    const step = niceStep(span, 5);
    const first = Math.floor(min / step + 1e-9);
    const last = Math.max(first + 1, Math.ceil(max / step - 1e-9));
    return Array.from({length: last - first + 1}, (_, i) => (first + i) * step);
}
