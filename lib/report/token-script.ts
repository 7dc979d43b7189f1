/** Style and script that show answers token by token in a page, both for use with `htmlPage`. */
import type {TokenView} from "./token-view.js";

/** A token in a page's data: its text, and its choices as [rank, fallback, candidates, seen]. */
type PageToken = [text: string, ...choices: [number, 0 | 1, number, unknown[]][]];

/** The shape that `tokenScript` reads; arrays, since there are many. */
export function pageTokens(views: readonly TokenView[]): PageToken[] {
    return views.map(({text, choices = []}) => [
        text,
        ...choices.map(({rank, fallback, candidates, seen}): PageToken[number] & unknown[] => [
            rank,
            fallback ? 1 : 0,
            candidates,
            seen
        ])
    ]) as PageToken[];
}

/** HTML. Colours never stand alone: every mark has an underline of its own. */
export const tokenLegend =
    '<p class="legend note"><span class="k1">2nd choice</span> <span class="k2">3rd to 5th</span> ' +
    '<span class="k5">6th or later</span> <span class="kf">nothing was accepted</span> ' +
    '<span class="with-pointer">Point at a token, or move through an answer with the arrow keys, to see what was decided.</span>' +
    '<span class="with-finger">Tap a token to see what was decided.</span></p>';

export const tokenStyle = `
.answer { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.75; margin: 0; max-width: none; }
.tok { border-radius: 3px; cursor: default; }
.answer .tok:hover, .answer .tok:focus { background: var(--line); outline: none; box-shadow: 0 0 0 2px var(--link); }
.k1 { background: var(--mark-rank); text-decoration: underline dotted; }
.k2 { background: var(--mark-rank); text-decoration: underline; }
.k5 { background: var(--mark-far); text-decoration: underline double; }
.kf { background: var(--mark-none); text-decoration: underline wavy; }
.k1, .k2, .k5, .kf { border-radius: 3px; text-underline-offset: 3px; text-decoration-thickness: 1px; }
.end { color: var(--muted); font-size: .8em; }
.rej { display: none; color: var(--muted); text-decoration: line-through; margin-inline-end: .25em; }
.inline .rej { display: inline; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem .9rem; align-items: baseline; max-width: none; }
.legend [class^=k] { color: var(--ink); padding: 0 .25em; }
.with-finger { display: none; }
@media (hover: none) { .with-finger { display: inline; } .with-pointer { display: none; } }
#tip { position: absolute; z-index: 9; max-width: min(26rem, 92vw); background: var(--raised); color: var(--ink); border: 1px solid var(--line);
    border-radius: 6px; box-shadow: 0 4px 18px rgb(0 0 0 / .18); padding: .55rem .75rem; font-size: .8125rem; line-height: 1.4; pointer-events: none; }
#tip[hidden] { display: none; }
#tip strong { display: block; margin-bottom: .2rem; }
#tip table { margin: 0; font-size: inherit; }
#tip td, #tip th { padding: .12rem .8rem .12rem 0; border: 0; font-size: inherit; }
#tip :is(td, th):not(:nth-child(2)) { white-space: normal; }
#tip code { overflow-wrap: anywhere; }
#tip .no { color: var(--muted); }
#tip .no code { text-decoration: line-through; }
#tip .yes { font-weight: 600; }
@media print { #tip { display: none; } .answer * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
`;

/** Defines `make(tag, class, text)` and `showTokens(place, tokens)`, where `tokens` came from `pageTokens`. */
export const tokenScript = `
const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
};
const tip = make("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("role", "tooltip");
document.body.append(tip);
const choicesOf = new WeakMap();
const percent = (value) => value === null ? "–" : value === 0 || value === 1 ? 100 * value + " %" : (100 * value).toFixed(value > 0.9995 || value < 0.0005 ? 2 : 1) + " %";
const visible = (text) => text.replace(/ /g, "␣").replace(/\\n/g, "⏎").replace(/[\\u0000-\\u001f\\u007f]/g, "·");
const ordinal = (n) => n + (n % 100 > 10 && n % 100 < 14 ? "th" : ["th", "st", "nd", "rd"][n % 10] ?? "th");
const kind = (choices) => {
    if (choices.some(([, fallback]) => fallback)) return "kf";
    const rank = Math.max(...choices.map(([rank]) => rank));
    return rank === 0 ? "" : rank === 1 ? "k1" : rank < 5 ? "k2" : "k5";
};
const showTokens = (place, tokens) => {
    for (const [text, ...choices] of tokens) {
        if (choices.length === 0) {
            place.append(text);
            continue;
        }
        const token = make("span", "tok");
        const mark = kind(choices);
        token.tabIndex = place.querySelector(".tok") ? -1 : 0;
        choicesOf.set(token, choices);
        const rejected = choices.flatMap(([rank, , , seen]) => seen.filter(([seenRank]) => seenRank !== rank));
        for (const [, spelled] of rejected.slice(0, 3)) {
            const struck = make("s", "rej", visible(spelled));
            struck.ariaHidden = "true";
            token.append(struck);
        }
        const [, before, word, after] = /^(\\s*)([^]*?)(\\s*)$/.exec(text);
        // A line under a space looks like a mistake, but a token of spaces only has nothing better.
        if (text === "") token.append(make("span", mark + " end", "■"));
        else if (word === "") token.append(make("span", mark, text));
        else token.append(before, make("span", mark, word), after);
        place.append(token);
    }
};
const describe = (token) => {
    tip.replaceChildren();
    for (const [rank, fallback, candidates, seen] of choicesOf.get(token)) {
        const title = fallback ? "nothing of " + candidates + " candidates was accepted" : ordinal(rank + 1) + " of " + candidates + " candidates";
        tip.append(make("strong", "", title));
        const table = make("table");
        const head = table.createTHead().insertRow();
        const accept = seen.some((one) => one[5]) ? "accept (each)" : "accept";
        for (const name of ["", "probability", accept, ""]) head.append(make("th", "", name));
        const body = table.createTBody();
        for (const [seenRank, spelled, probability, accept, by, opinions] of seen) {
            const chosen = seenRank === rank;
            const row = body.insertRow();
            row.className = chosen ? "yes" : "no";
            row.insertCell().append(make("code", "", visible(spelled)));
            row.insertCell().textContent = percent(probability);
            row.insertCell().textContent = percent(accept) + (opinions ? " (" + opinions.map(percent).join(", ") + ")" : "");
            row.insertCell().textContent = chosen ? (fallback ? "taken all the same" : "accepted") : "rejected";
            if (by) row.lastChild.textContent += " by its student";
        }
        tip.append(table);
    }
};
let described;
// The token whose tip comes back when the pointer leaves another; none after Escape.
let focused = null;
const hide = () => {
    tip.hidden = true;
    described?.removeAttribute("aria-describedby");
    described = undefined;
};
const show = (token) => {
    if (!choicesOf.has(token)) return;
    hide();
    described = token;
    describe(token);
    tip.hidden = false;
    token.setAttribute("aria-describedby", "tip");
    const box = token.getClientRects()[0] ?? token.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 16));
    const below = box.bottom + 8 + tip.offsetHeight <= innerHeight || box.top < tip.offsetHeight + 8;
    tip.style.left = left + scrollX + "px";
    tip.style.top = (below ? box.bottom + 8 : box.top - tip.offsetHeight - 8) + scrollY + "px";
};
const tokenOf = (event) => event.target instanceof Element ? event.target.closest(".tok") : null;
document.addEventListener("pointerover", (event) => {
    const token = tokenOf(event);
    if (token) show(token); else if (!focused) hide(); else if (described !== focused) show(focused);
});
document.addEventListener("focusin", (event) => { focused = tokenOf(event); if (focused) show(focused); else hide(); });
const leave = () => { focused = null; hide(); };
document.addEventListener("focusout", leave);
document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
    const token = tokenOf(event);
    if (!token || !choicesOf.has(token)) return;
    const all = [...token.closest(".answer").querySelectorAll(".tok")];
    const at = all.indexOf(token);
    const next = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1}[event.key];
    if (next === undefined || !all[next]) return;
    event.preventDefault();
    token.tabIndex = -1;
    all[next].tabIndex = 0;
    all[next].focus();
});
`;
