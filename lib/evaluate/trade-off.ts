/** The trade-off between two rewards, for sides with several agents. */
import type {SideResult} from "./result.js";

/** What several agents reach of two rewards at once. */
export interface TradeOff {
    /** The first two rewards. */
    rewards: [string, string];
    /** Mean rewards of each side. */
    points: {side: string; rewards: [number, number]; isCombined: boolean}[];
    /** What a point has to exceed in both rewards to count: the means of the first of `against`. */
    reference: [number, number];
    /** The area between the reference and the sides with several agents, as far as these exceed it in both rewards. */
    hypervolume: number;
}

/** Undefined without two rewards, or a side with several agents. */
export function tradeOffOf(
    aligned: SideResult,
    others: readonly SideResult[],
    rewards: readonly string[]
): TradeOff | undefined {
    const [first, second] = rewards;
    const pointOf = ({name, rewards: [one, other]}: SideResult): TradeOff["points"][number][] =>
        one?.mean == null || other?.mean == null
            ? []
            : [{side: name, rewards: [one.mean, other.mean], isCombined: name.startsWith("agents:")}];
    const points = [aligned, ...others].flatMap(pointOf);
    const reference = others.slice(0, 1).flatMap(pointOf)[0]?.rewards;
    const combined = points.filter(({isCombined}) => isCombined);
    if (first === undefined || second === undefined || reference === undefined || combined.length === 0)
        return undefined;
    const hypervolume = areaAbove(
        reference,
        combined.map((point) => point.rewards)
    );
    return {rewards: [first, second], points, reference, hypervolume};
}

/** Area of the union of the rectangles from the reference to each point. */
export function areaAbove(
    reference: readonly [number, number],
    points: readonly (readonly [number, number])[]
): number {
    const sorted = points.filter(([x, y]) => x > reference[0] && y > reference[1]).sort((a, b) => b[0] - a[0]);
    let area = 0;
    let height = reference[1];
    for (const [x, y] of sorted) {
        if (y <= height) continue;
        area += (x - reference[0]) * (y - height);
        height = y;
    }
    return area;
}
