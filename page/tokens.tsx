/** An answer token by token, coloured by what was decided. */
import {useRef, useState} from "preact/hooks";
import type {TokenTrace} from "../lib/server/trace.js";
import type {Teller} from "./tip.js";

/** Classes of the trace page, by the rank that was taken. */
function kind({decisions}: TokenTrace): string {
    if (decisions.some(({fallback}) => fallback)) return "kf";
    const rank = Math.max(0, ...decisions.map((decision) => decision.rank));
    return rank === 0 ? "" : rank === 1 ? "k1" : rank < 5 ? "k2" : "k5";
}

interface TokensFields {
    tokens: readonly TokenTrace[];
    label: string;
    teller: Teller;
}

export function Tokens({tokens, label, teller}: TokensFields) {
    const [focusable, setFocusable] = useState(0);
    const answer = useRef<HTMLParagraphElement>(null);
    const decided = tokens.flatMap((token, i) => (token.decisions.length > 0 ? [i] : []));
    const first = decided.includes(focusable) ? focusable : decided[0];
    const find = (index: number) => answer.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
    const move = (event: KeyboardEvent, index: number) => {
        const at = decided.indexOf(index);
        const ends: Record<string, number> = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: decided.length - 1};
        const next = decided[ends[event.key] ?? -1];
        if (next === undefined) return;
        event.preventDefault();
        setFocusable(next);
        find(next)?.focus();
    };
    return (
        // biome-ignore lint/a11y/useSemanticElements: running text is no group of a form's fields.
        <p class="answer" role="group" aria-label={label} ref={answer}>
            {tokens.map((token, i) =>
                token.decisions.length === 0 ? (
                    token.text
                ) : (
                    // biome-ignore lint/a11y/useSemanticElements: a button's box would not break with the lines of the text.
                    <span
                        class="tok"
                        role="button"
                        data-index={i}
                        tabIndex={i === first ? 0 : -1}
                        onPointerEnter={({currentTarget}) => teller.point({element: currentTarget, token})}
                        onPointerLeave={() => teller.point()}
                        onFocus={({currentTarget}) => teller.focus({element: currentTarget, token})}
                        onBlur={() => teller.focus()}
                        onKeyDown={(event) => move(event, i)}
                    >
                        <Marked text={token.text === "" ? "■" : token.text} mark={kind(token)} />
                    </span>
                )
            )}
        </p>
    );
}

/** A line under a space looks like a mistake, but a token of spaces only has nothing better. */
function Marked({text, mark}: {text: string; mark: string}) {
    const [, before = "", word = "", after = ""] = /^(\s*)(.*?)(\s*)$/s.exec(text) ?? [];
    if (mark === "") return <>{text}</>;
    if (word === "") return <span class={mark}>{text}</span>;
    return (
        <>
            {before}
            <span class={mark}>{word}</span>
            {after}
        </>
    );
}
