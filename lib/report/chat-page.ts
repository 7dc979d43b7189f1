import {escapeHtml, htmlPage} from "./page.js";
import {pageTokens, tokenLegend, tokenScript, tokenStyle} from "./token-script.js";
import type {TokenView} from "./token-view.js";

/** A question, and the answer of each side. */
export interface ChatTurn {
    question: string;
    answers: {side: string; pieces: readonly (TokenView & {thought: boolean})[]}[];
}

/** The conversation as a page, token by token. `description` is text. */
export function chatPage(turns: readonly ChatTurn[], description: string): string {
    const body = turns.map(({question, answers}, i) => {
        const columns = answers.map(({side, pieces}, j) => {
            const text = escapeHtml(pieces.map((piece) => piece.text).join(""));
            const name = answers.length > 1 ? `<h3>${escapeHtml(side)}</h3>` : "";
            return `<section>${name}<p class="answer" role="group" aria-label="${escapeHtml(side)} answer, token by token" data-at="${i}.${j}">${text}</p></section>`;
        });
        return `<article><h2 class="question">${escapeHtml(question)}</h2><div class="columns">${columns.join("")}</div></article>`;
    });
    const data = turns.map(({answers}) =>
        answers.map(({pieces}) => pieces.map(({thought, ...piece}) => ({thought, tokens: pageTokens([piece])})))
    );
    return htmlPage({
        title: "Conversation, token by token",
        body: `<h1>Conversation</h1><p class="lead">${escapeHtml(description)}</p>${tokenLegend}${body.join("\n")}`,
        charts: [],
        data,
        style: tokenStyle + style,
        script: tokenScript + script
    });
}

const style = `
article { border-top: 1px solid var(--line); padding: .3rem 0 1rem; }
.question { font-size: 1.0625rem; margin: 1rem 0 .5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: .4rem 2.5rem; }
.columns h3 { margin: .3rem 0; color: var(--muted); }
.answer { max-width: 46rem; }
.thought { color: var(--muted); font-style: italic; }
`;

const script = `
for (const place of document.querySelectorAll(".answer")) {
    const [turn, side] = place.dataset.at.split(".");
    place.replaceChildren();
    for (const {thought, tokens} of pageData[turn][side])
        showTokens(thought ? place.appendChild(make("span", "thought")) : place, tokens);
}
`;
