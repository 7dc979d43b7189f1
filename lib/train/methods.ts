/** The methods of training, and which options each has. */
import {invalidArgument} from "../errors.js";
import {constantsOf} from "./constants.js";
import type {TrainOptions} from "./options.js";
import {choiceNames} from "./presets.js";

export const methods = ["sac", "preference", "advantage"] as const;
export type Method = (typeof methods)[number];

/** Names of the options that one method alone has. */
const ownOptions: Readonly<Record<Method, readonly string[]>> = {
    sac: [
        ...Object.keys(constantsOf.sac),
        ...choiceNames.filter((name) => name !== "promptFormat"),
        "order",
        "strategy"
    ],
    preference: Object.keys(constantsOf.preference),
    advantage: Object.keys(constantsOf.advantage)
};

/** Those of `sac` that the others heed, too: for the answers at each threshold, for the student, and in the fit. */
const heededByAll = new Set<string>(["order", "strategy", "fallbackIndex", "gradientClip"]);

/** The method that fits what is given. */
export function methodOf(options: TrainOptions): Method {
    if (options.pairs !== undefined) return "preference";
    const given = methods.find((method) =>
        ownOptions[method].some((name) => options[name as keyof TrainOptions] !== undefined)
    );
    if (given !== undefined) return given;
    return options.preset === "paper" || options.warmStart !== undefined ? "sac" : "advantage";
}

/** @throws MaraError INVALID_ARGUMENT naming the first option that a run of this method would ignore */
export function requireOwnOptions(options: TrainOptions, method: Method): void {
    for (const [name, value] of Object.entries(options)) {
        const owners = ownersOf(name);
        if (value === undefined || owners.length === 0 || owners.includes(method)) continue;
        const others = owners.map((owner) => `"${owner}"`).join(" and ");
        throw invalidArgument(
            name,
            `nothing with this run's method "${method}" (it is an option of ${others}: leave it out, or give another method)`,
            value
        );
    }
}

/** The methods that heed an option, of those that not all do. */
function ownersOf(name: string): readonly Method[] {
    if (heededByAll.has(name)) return [];
    if (name in constantsOf.fit) return ["preference", "advantage"];
    return methods.filter((method) => ownOptions[method].includes(name));
}
