/** Who decides about the aligned side, as the person sets it. */
export interface AgentSetting {
    name: string;
    takesPart: boolean;
    weight: number;
}

export const combines = {
    weighted: "by the weighted mean",
    all: "where all of them accept",
    any: "where any of them accepts"
} as const;
export type Combine = keyof typeof combines;

export interface Settings {
    agents: readonly AgentSetting[];
    combine: Combine;
    /** Undefined: each agent's own, as it was trained. */
    threshold: number | undefined;
}

/** The server's field `mara`. */
export interface MaraFields {
    agents: {agent: string; weight: number}[];
    combine: Combine;
    threshold?: number;
}

/** The first agent takes part to begin with. */
export function initialSettings(names: readonly string[]): Settings {
    const agents = names.map((name, i) => ({name, takesPart: i === 0, weight: 1}));
    return {agents, combine: "weighted", threshold: undefined};
}

/** One who does not take part is named with weight 0, and last: the first says how candidates are drawn. */
export function maraFields({agents, combine, threshold}: Settings): MaraFields {
    const named = [true, false].flatMap((wanted) =>
        agents
            .filter(({takesPart}) => takesPart === wanted)
            .map(({name, weight}) => ({agent: name, weight: wanted ? weight : 0}))
    );
    return {agents: named, combine, ...(threshold === undefined ? {} : {threshold})};
}

/** "kind (weight 1.00) and brief (weight 0.50), by the weighted mean, threshold 0.60" */
export function describeSettings({agents, combine, threshold}: Settings): string {
    const deciding = agents.filter(({takesPart}) => takesPart);
    const names = deciding.map(({name, weight}) =>
        agents.length > 1 ? `${name} (weight ${weight.toFixed(2)})` : name
    );
    const how = deciding.length > 1 ? [combines[combine]] : [];
    const told = [
        names.join(" and ") || "none",
        ...how,
        threshold === undefined ? [] : `threshold ${threshold.toFixed(2)}`
    ];
    return told.flat().join(", ");
}
