const light = `
    --paper: #ffffff; --raised: #f6f7f9; --ink: #1c2127; --muted: #5a6470; --line: #dde1e6; --link: #0b5cad;
    --series-1: #0b62a8; --series-2: #8a929c; --series-3: #b4540a; --series-4: #117a52; --series-5: #7b4bb3; --series-6: #9c7a00;
    --series-1-soft: #0b62a826; --series-3-soft: #b4540a26;
    --good: #0f6b46; --bad: #b3261e; --mark-rank: #d9ead3; --mark-far: #fde7c0; --mark-none: #f9d7d4;`;
const dark = `
    --paper: #14171b; --raised: #1c2026; --ink: #e4e8ed; --muted: #9aa5b1; --line: #333a43; --link: #79b8ff;
    --series-1: #6cb2f0; --series-2: #8b949e; --series-3: #f0a35e; --series-4: #62c99a; --series-5: #bf9bea; --series-6: #d8b94a;
    --series-1-soft: #6cb2f033; --series-3-soft: #f0a35e33;
    --good: #6fd3a5; --bad: #ff9a92; --mark-rank: #1f4a35; --mark-far: #5a4312; --mark-none: #5e2522;`;

/** The style of every report: system fonts, one column of text, quiet tables. Colours keep 4.5:1 against the paper in both themes. */
export const baseStyle = `
:root { color-scheme: light dark; ${light} }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { ${dark} } }
@media print { :root { ${light} } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
    font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2.5rem 1.5rem 5rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--link); }
.lead, figcaption, .note { color: var(--muted); }
.note, figcaption { font-size: .875rem; }
code, kbd { font: .875em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.scroll { overflow-x: auto; }
.scroll-hint { display: none; color: var(--muted); font-size: .8125rem; margin: .4rem 0 0; }
.is-cut + .scroll-hint { display: block; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; text-align: right; vertical-align: baseline; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--muted); font-size: .8125rem; }
th:first-child, td:first-child, th.text, td.text { text-align: left; }
tbody th { color: var(--ink); font-weight: 400; font-size: inherit; }
td small { display: block; color: var(--muted); font-size: .75rem; line-height: 1.3; }
table.texts { table-layout: fixed; width: 100%; }
table.texts th, table.texts td { text-align: left; white-space: pre-wrap; overflow-wrap: anywhere; vertical-align: top; }
table.texts .figure { width: 6rem; text-align: right; white-space: nowrap; }
table.texts .question { width: 28%; }
@media (max-width: 40rem) {
    table.texts, table.texts tbody, table.texts tr, table.texts td { display: block; width: auto; }
    table.texts thead { position: absolute; clip-path: inset(50%); }
    table.texts tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
    table.texts td { border: 0; padding: .1rem 0; }
    table.texts td.question { width: auto; font-weight: 600; }
    table.texts td.figure { width: auto; text-align: left; color: var(--muted); }
    table.texts td.figure::before { content: attr(data-label) " "; }
}
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem 1.2rem; max-width: 52rem; }
.facts dt { color: var(--muted); } .facts dd { margin: 0; overflow-wrap: anywhere; }
.command { white-space: pre-wrap; overflow-wrap: anywhere; }
.summary { max-width: 52rem; overflow-wrap: anywhere; }
.headline { font-size: 1.1875rem; line-height: 1.45; max-width: 52rem; margin: 1rem 0 0; }
figure { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1.5rem 2rem; margin: 1rem 0; }
.chart .canvas { position: relative; height: 17rem; }
.chart.wide { grid-column: 1 / -1; } .chart.wide .canvas { height: 22rem; }
.chart figcaption { margin-top: .4rem; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px; }
@media print { .scroll-hint { display: none !important; } main { max-width: none; padding: 0; } body { font-size: 11pt; } .chart, tr { break-inside: avoid; } }
`;
