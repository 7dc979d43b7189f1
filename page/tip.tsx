/** What is told of one token at a time: of the one that the pointer or the focus came to last. */
import type {VNode} from "preact";
import {useEffect, useLayoutEffect, useMemo, useRef, useState} from "preact/hooks";
import type {DecisionTrace, TokenTrace} from "../lib/server/trace.js";
import {visible} from "../lib/visible.js";

interface Told {
    element: HTMLElement;
    token: TokenTrace;
}

/** Takes what a pointer or the focus has come to; undefined where it has left. */
export interface Teller {
    point(told?: Told): void;
    focus(told?: Told): void;
}

export function useTip(): {tip: VNode | undefined; teller: Teller; dismiss: () => void} {
    const [pointed, setPointed] = useState<Told>();
    const [focused, setFocused] = useState<Told>();
    const box = useRef<HTMLDivElement>(null);
    const told = pointed ?? focused;
    const [teller, dismiss] = useMemo(() => {
        const focus = (to?: Told) => {
            setFocused(to);
            if (to !== undefined) setPointed(undefined);
        };
        const dismissBoth = () => {
            setPointed(undefined);
            setFocused(undefined);
        };
        return [{point: setPointed, focus}, dismissBoth];
    }, []);
    useEffect(() => {
        // What the pointer shows goes too, wherever the focus is.
        const onKey = ({key}: KeyboardEvent) => {
            if (key === "Escape") dismiss();
        };
        document.addEventListener("keydown", onKey);
        return () => document.removeEventListener("keydown", onKey);
    }, []);
    useLayoutEffect(() => {
        if (told === undefined || box.current === null) return;
        const {element} = told;
        place(box.current, element);
        element.setAttribute("aria-describedby", "tip");
        return () => element.removeAttribute("aria-describedby");
    }, [told]);
    const tip = told && (
        <div id="tip" role="tooltip" ref={box}>
            {told.token.decisions.map((decision) => (
                <Decision decision={decision} />
            ))}
        </div>
    );
    return {tip, teller, dismiss};
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
                        <th>{candidates.some(({opinions}) => opinions) ? "accept (each)" : "accept"}</th>
                        <th>verdict</th>
                    </tr>
                </thead>
                <tbody>
                    {candidates.map((one) => (
                        <tr class={one.rank === rank ? "yes" : one.rejected ? "no" : ""}>
                            <td>
                                <code>{visible(one.text.replaceAll(" ", "␣").replaceAll("\n", "⏎"))}</code>
                            </td>
                            <td>{percent(one.probability)}</td>
                            <td>
                                {percent(one.accept)}
                                {one.opinions && ` (${one.opinions.map(percent).join(", ")})`}
                            </td>
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
