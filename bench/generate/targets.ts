import {atLeast, atMost, type Target} from "../harness/suite.js";
import {percent} from "./contenders.js";
import {predictorTargets} from "./predictors.js";
import {anonymousOf, type ModelReport, median} from "./report.js";

/** Issue 3, "What it must reach", for one model. */
export function generateTargets(report: ModelReport): Target[] {
    const lanes = {mode: "lanes", sequences: 1} as const;
    const plain = (sequences: number, onePoolThread = false) => report.speed({mode: "plain", sequences, onePoolThread});
    const one = (name: string, ratio: number) => new Map([[name, ratio]]);
    const ofIdeal = report.measured
        .filter(({contender: {mode, rate, sequences}}) => mode === "lanes" && !(rate === 1 && sequences === 1))
        .map((entry): [string, number] => [
            `${percent(entry.contender.rate)}, ${entry.contender.sequences} seq.`,
            report.speed(entry.contender) / report.ideal(entry)
        ]);
    const prefill = (mode: "plain" | "lanes") =>
        median(report.find({mode, sequences: 1}), (result) => result.prefillTokensPerSecond ?? Number.NaN);
    const entry = report.find(lanes);
    const added = anonymousOf(entry) - anonymousOf(report.find({mode: "plain", sequences: 1}));
    const allowed = 1.2 * (median(entry, ({sizes}) => sizes.packed) + median(entry, ({sizes}) => sizes.laneCells));
    const named = (name: string) => `${report.name}: ${name}`;
    return [
        atLeast(
            named("lanes at 100 % acceptance faster than plain at its defaults"),
            1,
            one("1 seq.", report.speed(lanes) / plain(1))
        ),
        atLeast(
            named("lanes at 100 % acceptance ≥ 0.97 of plain with one pool thread"),
            0.97,
            one("1 seq.", report.speed(lanes) / plain(1, true))
        ),
        atLeast(named("elsewhere ≥ 0.9 of the ideal"), 0.9, new Map(ofIdeal)),
        atLeast(
            named("8 sequences at 100 % ≥ 0.95 of plain"),
            0.95,
            one("8 seq.", report.speed({...lanes, sequences: 8}) / plain(8))
        ),
        ...predictorTargets(report),
        atLeast(
            named("prefill in lanes mode ≥ 0.98 of plain"),
            0.98,
            one("1 seq.", prefill("lanes") / prefill("plain"))
        ),
        atMost(
            named("added memory ≤ 1.2 × (packed weights + lanes' KV cells), as a share of that"),
            1,
            one(`${(added / 1e6).toFixed(1)} MB of ${(allowed / 1e6).toFixed(1)} MB`, added / allowed)
        )
    ];
}
