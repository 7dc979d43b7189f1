/** An answer token by token, coloured by what was decided, and what is told of the token at hand. */
import {useLayoutEffect, useRef, useState} from "preact/hooks";
import type {DecisionTrace, TokenTrace} from "../lib/server/trace.js";

/** Classes of the trace page, by the rank that was taken. */
function kind({decisions}: TokenTrace): string {
    if (decisions.some(({fallback}) => fallback)) return "kf";
    const rank = Math.max(0, ...decisions.map((decision) => decision.rank));
    return rank === 0 ? "" : rank === 1 ? "k1" : rank < 5 ? "k2" : "k5";
}

/** Puts the tip under its token, or above it where the form at the bottom would cover it. */
function place(tip: HTMLElement, token: Element): void {
    const box = token.getClientRects()[0] ?? token.getBoundingClientRect();
    const {offsetWidth, offsetHeight} = tip;
    const bottom = Math.min(innerHeight, document.querySelector(".ask")?.getBoundingClientRect().top ?? innerHeight);
    const fits = box.bottom + 8 + offsetHeight <= bottom || box.top < offsetHeight + 8;
    const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - offsetWidth - 8));
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(fits ? box.bottom + 8 : box.top - offsetHeight - 8) + scrollY}px`;
}

export function Tokens({tokens, label}: {tokens: readonly TokenTrace[]; label: string}) {
    const [shown, setShown] = useState<number>();
    const [focusable, setFocusable] = useState(0);
    const answer = useRef<HTMLDivElement>(null);
    const decided = tokens.flatMap((token, i) => (token.decisions.length > 0 ? [i] : []));
    const first = decided.includes(focusable) ? focusable : decided[0];
    const find = (index: number) => answer.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
    useLayoutEffect(() => {
        const tip = answer.current?.querySelector<HTMLElement>("#tip");
        const token = shown === undefined ? undefined : find(shown);
        if (tip && token) place(tip, token);
    }, [shown]);
    const move = (event: KeyboardEvent, index: number) => {
        if (event.key === "Escape") setShown(undefined);
        const at = decided.indexOf(index);
        const ends: Record<string, number> = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: decided.length - 1};
        const next = decided[ends[event.key] ?? -1];
        if (next === undefined) return;
        event.preventDefault();
        setFocusable(next);
        find(next)?.focus();
    };
    const told = shown === undefined ? undefined : tokens[shown];
    return (
        <div ref={answer}>
            {/* biome-ignore lint/a11y/useSemanticElements: running text is no group of a form's fields. */}
            <p class="answer" role="group" aria-label={label}>
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
                            aria-describedby={shown === i ? "tip" : undefined}
                            onPointerEnter={() => setShown(i)}
                            onPointerLeave={() => setShown(undefined)}
                            onFocus={() => setShown(i)}
                            onBlur={() => setShown(undefined)}
                            onKeyDown={(event) => move(event, i)}
                        >
                            <Marked text={token.text === "" ? "■" : token.text} mark={kind(token)} />
                        </span>
                    )
                )}
            </p>
            {told && (
                <div id="tip" role="tooltip">
                    {told.decisions.map((decision) => (
                        <Decision decision={decision} />
                    ))}
                </div>
            )}
        </div>
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

function Decision({decision: {rank, fallback, count, candidates}}: {decision: DecisionTrace}) {
    const title = fallback
        ? `nothing of ${count} candidates was accepted`
        : `choice ${rank + 1} of ${count} candidates`;
    return (
        <>
            <strong>{title}</strong>
            <table>
                <thead>
                    <tr>
                        <th>token</th>
                        <th>probability</th>
                        <th>accept</th>
                        <th>verdict</th>
                    </tr>
                </thead>
                <tbody>
                    {candidates.map((one) => (
                        <tr class={one.rank === rank ? "yes" : one.rejected ? "no" : ""}>
                            <td>
                                <code>{one.text.replaceAll(" ", "␣").replaceAll("\n", "⏎")}</code>
                            </td>
                            <td>{percent(one.probability)}</td>
                            <td>{percent(one.accept)}</td>
                            <td>
                                {one.rank === rank
                                    ? fallback
                                        ? "taken all the same"
                                        : "taken"
                                    : one.rejected
                                      ? "rejected"
                                      : ""}
                                {one.by === "student" && " by its student"}
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </>
    );
}

function percent(value: number | null): string {
    return value === null ? "–" : `${(100 * value).toFixed(1)} %`;
}
