/** Who judges a sequence's candidates, and what becomes of their opinions. */
import type {MaraAgent} from "../../agent/agent.js";
import type {NativeJudge} from "../../native.js";
import type {Decider} from "../decide/decision.js";
import type {Judge} from "./judge.js";

/** How several opinions become one verdict: see `AlignerSettings.combine`. */
export type Combine = "all" | "weighted" | "any";

/** What an agent, its student or a judge says of one candidate. */
export interface Opinion {
    readonly probability: number;
    /** ln(p / (1 − p)), which keeps its size where the probability is nearly 0 or 1. */
    readonly logit: number;
    readonly by: Decider;
}

/** What each of the panel's members says of one candidate; null where it has not said anything. */
export type Opinions = (Opinion | null)[];

/** One that judges: either an agent or a judge of the caller's own. */
export interface Member {
    readonly agent?: MaraAgent;
    readonly judge?: Judge;
    /** Above 0. */
    readonly weight: number;
    /** Probability above which it accepts. */
    readonly threshold: number;
    /** Its place among what listeners are told: the agents as they were given, then the judge. */
    readonly place: number;
}

export function logitOf(probability: number): number {
    return Math.log(probability / (1 - probability));
}

/** NaN becomes 0, so that the candidate is rejected. */
export function probabilityOf(logit: number): number {
    return Number.isNaN(logit) ? 0 : 1 / (1 + Math.exp(-logit));
}

/** The weighted mean of what is asked of each member. */
export function weightedMean(members: readonly {weight: number}[], value: (index: number) => number): number {
    const total = members.reduce((sum, {weight}) => sum + weight, 0);
    return members.reduce((sum, {weight}, i) => sum + weight * value(i), 0) / total;
}

/** The threshold that the weighted mean of logits is held against: that of all where they have the same. */
function meanThreshold(members: readonly Member[]): number {
    const [first, ...others] = members.map(({threshold}) => threshold);
    if (others.every((other) => other === first)) return first ?? 0.5;
    const mean = weightedMean(members, (i) => logitOf((members[i] as Member).threshold));
    return Number.isNaN(mean) ? 1 : probabilityOf(mean);
}

/** Those that judge a sequence's candidates together. What has no weight is not in it. */
export class Panel {
    readonly members: readonly Member[];
    readonly combine: Combine;
    /** The verdict above which a candidate is accepted. */
    readonly threshold: number;
    /** How many places `Member.place` can be. */
    readonly places: number;

    constructor(members: readonly Member[], combine: Combine, places: number) {
        this.members = members;
        this.combine = combine;
        this.places = places;
        this.threshold = combine === "weighted" || members.length === 1 ? meanThreshold(members) : 0.5;
    }

    get agents(): MaraAgent[] {
        return this.members.flatMap(({agent}) => agent ?? []);
    }

    /** The caller's own judge, with its place among the members. */
    get own(): {judge: Judge; index: number} | undefined {
        const index = this.members.findIndex(({judge}) => judge !== undefined);
        return index < 0 ? undefined : {judge: this.members[index]?.judge as Judge, index};
    }

    /** True if candidates have to be decoded before all of its members can judge them. */
    get needsStates(): boolean {
        return this.members.some(({judge}) => judge?.needsStates !== false);
    }

    /** The agents as the decode thread takes them; undefined if there are none. @throws MaraError AGENT_DISPOSED */
    get native(): NativeJudge | undefined {
        const agents = this.agents.map((agent) => agent._native);
        return agents.length === 0 ? undefined : agents;
    }

    /**
     * What the opinions make of a candidate: accepted if above `threshold`. Null while that depends on opinions that are missing. With
     * `compares`, candidates are compared by their verdicts, so one that is accepted for certain still waits for the opinions that its verdict depends on.
     *
     * "all" and "any" take the smallest or largest probability, each seen from the member's own threshold, which comes to lie at ½.
     */
    verdict(opinions: Opinions, compares: boolean): number | null {
        if (this.members.length === 1) return opinions[0]?.probability ?? null;
        const isComplete = !opinions.includes(null);
        // Who is certain to reject outweighs all others.
        if (this.combine === "weighted" && opinions.some((opinion) => opinion?.logit === Number.NEGATIVE_INFINITY))
            return 0;
        if (this.combine === "weighted")
            return isComplete ? probabilityOf(weightedMean(this.members, (i) => (opinions[i] as Opinion).logit)) : null;
        const relative = opinions.flatMap((opinion, i) => (opinion === null ? [] : [this.#relative(opinion, i)]));
        const least = probabilityOf(Math.min(...relative));
        const most = probabilityOf(Math.max(...relative));
        if (isComplete) return this.combine === "all" ? least : most;
        if (relative.length === 0) return null;
        if (this.combine === "all") return least > this.threshold ? null : least;
        return most > this.threshold && !compares ? most : null;
    }

    /** The logit as seen from the member's own threshold. */
    #relative({logit}: Opinion, index: number): number {
        const relative = logit - logitOf((this.members[index] as Member).threshold);
        return Number.isNaN(relative) ? Number.NEGATIVE_INFINITY : relative;
    }
}

/** The agents with a weight, in the order given, and the judge. `threshold`: the judge's, where it has none of its own. */
export function panelOf(given: {
    agents: readonly Omit<Member, "place" | "judge">[];
    judge: Judge | undefined;
    combine: Combine;
    threshold: number;
}): Panel {
    const {agents, judge, combine, threshold} = given;
    const members: Member[] = agents.map((one, place) => ({...one, place}));
    if (judge !== undefined)
        members.push({judge, weight: judge.weight ?? 1, threshold: judge.threshold ?? threshold, place: agents.length});
    return new Panel(
        members.filter(({weight}) => weight > 0),
        combine,
        members.length
    );
}
