/** An answer token by token, coloured by what was decided, and what is told of the token at hand. */
import {useRef, useState} from "preact/hooks";
import type {DecisionTrace, TokenTrace} from "../lib/server/trace.js";

/** Classes of the trace page, by the rank that was taken. */
function kind({decisions}: TokenTrace): string {
    if (decisions.some(({fallback}) => fallback)) return "kf";
    const rank = Math.max(0, ...decisions.map((decision) => decision.rank));
    return rank === 0 ? "" : rank === 1 ? "k1" : rank < 5 ? "k2" : "k5";
}

export function Tokens({tokens, label}: {tokens: readonly TokenTrace[]; label: string}) {
    const [shown, setShown] = useState<{index: number; left: number; top: number}>();
    const [focusable, setFocusable] = useState(0);
    const place = useRef<HTMLDivElement>(null);
    const decided = tokens.flatMap((token, i) => (token.decisions.length > 0 ? [i] : []));
    const first = decided.includes(focusable) ? focusable : decided[0];
    const show = (index: number, target: EventTarget | null) => {
        const box = (target as HTMLElement).getBoundingClientRect();
        const left = Math.max(8, Math.min(box.left, innerWidth - 430));
        setShown({index, left: left + scrollX, top: box.bottom + scrollY + 8});
    };
    const move = (event: KeyboardEvent, index: number) => {
        if (event.key === "Escape") setShown(undefined);
        const at = decided.indexOf(index);
        const ends: Record<string, number> = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: decided.length - 1};
        const next = decided[ends[event.key] ?? -1];
        if (next === undefined) return;
        event.preventDefault();
        setFocusable(next);
        place.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus();
    };
    const tip = shown && tokens[shown.index];
    return (
        <div ref={place}>
            {/* biome-ignore lint/a11y/useSemanticElements: running text is no group of a form's fields. */}
            <p class="answer" role="group" aria-label={label}>
                {tokens.map((token, i) =>
                    token.decisions.length === 0 ? (
                        token.text
                    ) : (
                        // biome-ignore lint/a11y/useSemanticElements: a button's box would not break with the lines of the text.
                        <span
                            class={`tok ${kind(token)}`}
                            role="button"
                            data-index={i}
                            tabIndex={i === first ? 0 : -1}
                            aria-describedby={shown?.index === i ? "tip" : undefined}
                            onPointerEnter={({currentTarget}) => show(i, currentTarget)}
                            onPointerLeave={() => setShown(undefined)}
                            onFocus={({currentTarget}) => show(i, currentTarget)}
                            onBlur={() => setShown(undefined)}
                            onKeyDown={(event) => move(event, i)}
                        >
                            {token.text === "" ? "■" : token.text}
                        </span>
                    )
                )}
            </p>
            {tip && (
                <div id="tip" role="tooltip" style={{left: `${shown.left}px`, top: `${shown.top}px`}}>
                    {tip.decisions.map((decision) => (
                        <Decision decision={decision} />
                    ))}
                </div>
            )}
        </div>
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
