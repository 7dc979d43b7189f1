/** The list of prompts in an evaluation's page. Rows are made as they are asked for, answers when a row is opened. */
export const promptScript = `
const {sides, rewards, prompts} = pageData;
const list = document.getElementById("prompts");
const more = document.getElementById("more");
const control = (name) => document.getElementById(name);
const words = {"1": ["▲", "win"], "0": ["=", "tie"], "-1": ["▼", "loss"], "null": ["?", "no score"]};
const score = (value) => value === null ? "–" : String(Number(value.toPrecision(3)));
const open = (row, {answers}) => {
    const columns = make("div", "columns");
    for (const [i, {text, scores, tokens, ended}] of answers.entries()) {
        const column = make("section");
        const head = column.appendChild(make("h3", "", sides[i]));
        for (const [j, value] of scores.entries()) head.append(make("small", "", rewards[j] + " " + score(value)));
        if (ended === "length") head.append(make("small", "", "cut at the longest length"));
        const answer = column.appendChild(make("p", "answer"));
        if (tokens) {
            answer.setAttribute("role", "group");
            answer.setAttribute("aria-label", sides[i] + ", token by token");
            showTokens(answer, tokens);
        } else answer.textContent = text;
        columns.append(column);
    }
    row.append(columns);
};
const rowOf = (index) => {
    const prompt = prompts[index];
    const row = make("details", "prompt");
    row.dataset.index = index;
    const summary = row.appendChild(make("summary"));
    summary.append(make("span", "number", String(index + 1)), make("span", "question", prompt.prompt));
    const marks = summary.appendChild(make("span", "marks"));
    for (const [i, outcome] of prompt.outcomes.entries()) {
        const [sign, word] = words[String(outcome)];
        marks.append(make("span", "mark " + word, sign + " " + word + (sides.length > 2 ? " " + sides[i + 1] : "")));
    }
    row.addEventListener("toggle", () => {
        if (row.open && row.children.length === 1) {
            if (prompt.system !== undefined) row.append(make("p", "note system", "System: " + prompt.system));
            open(row, prompt);
        }
    });
    return row;
};
let shown = [];
let count = 0;
const showMore = (step) => {
    for (const index of shown.slice(count, count + step)) list.append(rowOf(index));
    count = Math.min(shown.length, count + step);
    more.hidden = count >= shown.length;
    control("count").textContent = shown.length + " of " + prompts.length + " prompts";
};
const gain = (index, other) => {
    const [ours, theirs] = [prompts[index].answers[0].scores[0], prompts[index].answers[other + 1].scores[0]];
    return ours === null || theirs === null ? NaN : ours - theirs;
};
const refresh = () => {
    const other = Number(control("other").value);
    const outcome = control("outcome").value;
    const query = control("query").value.toLowerCase();
    const order = control("sort").value;
    const matches = ({prompt, outcomes, answers}) =>
        (outcome === "all" || String(outcomes[other]) === outcome) &&
        (query === "" || [prompt, ...answers.map(({text}) => text)].some((text) => text.toLowerCase().includes(query)));
    shown = prompts.flatMap((prompt, index) => matches(prompt) ? [index] : []);
    if (order !== "given") {
        const sign = order === "gain" ? -1 : 1;
        const key = (index) => { const value = gain(index, other); return Number.isNaN(value) ? Infinity : sign * value; };
        shown.sort((a, b) => key(a) - key(b) || a - b);
    }
    list.replaceChildren();
    count = 0;
    showMore(50);
};
for (const name of ["other", "outcome", "sort"]) control(name).addEventListener("change", refresh);
control("query").addEventListener("input", refresh);
control("inline").addEventListener("change", (event) => list.classList.toggle("inline", event.target.checked));
more.addEventListener("click", () => showMore(50));
refresh();
for (const row of [...list.children].slice(0, 2)) row.open = true;
`;

export const promptStyle = `
.bar { display: flex; width: 12rem; height: .8rem; border-radius: 3px; overflow: hidden; background: var(--line); }
.bar i { display: block; } .bar .w { background: var(--series-1); } .bar .t { background: var(--line); } .bar .l { background: var(--series-3); }
.tools { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: .8rem 0; font-size: .875rem; }
.tools select, .tools input[type=search], #more { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--line); border-radius: 5px; padding: .25rem .5rem; }
.tools label { display: flex; gap: .4rem; align-items: center; }
.prompt { border-top: 1px solid var(--line); padding: .45rem 0; }
#prompts { border-bottom: 1px solid var(--line); margin-bottom: 1rem; }
.prompt summary { display: flex; gap: .8rem; align-items: baseline; cursor: pointer; list-style: none; }
.prompt summary::-webkit-details-marker { display: none; }
.prompt .number { color: var(--muted); font-size: .8125rem; min-width: 2.2rem; text-align: right; font-variant-numeric: tabular-nums; }
.prompt .question { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.prompt[open] .question { white-space: pre-wrap; font-weight: 600; overflow-wrap: anywhere; }
.marks { display: flex; gap: .4rem; flex-wrap: wrap; justify-content: end; }
.mark { font-size: .8125rem; white-space: nowrap; color: var(--muted); }
.mark.win { color: var(--good); } .mark.loss { color: var(--bad); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: .4rem 2rem; padding: .3rem 0 .8rem 3rem; }
.columns h3 { margin: .6rem 0 .2rem; display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: baseline; }
.columns h3 small { font-weight: 400; color: var(--muted); font-size: .8125rem; }
.system { padding-left: 3rem; }
@media (max-width: 40rem) {
    .columns, .system { padding-left: 0; } .bar { width: 6rem; }
    .prompt summary { flex-wrap: wrap; gap: .1rem .6rem; } .prompt .question { flex: 1 1 70%; }
    .marks { flex-basis: 100%; justify-content: start; padding-left: 2.8rem; }
}
@media print { .tools, #more { display: none; } .prompt:not([open]) { display: none; } }
`;
