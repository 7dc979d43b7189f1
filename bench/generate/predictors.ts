import {atLeast, type Target} from "../harness/suite.js";
import {short, type Table} from "../harness/table.js";
import {percent} from "./contenders.js";
import {labelOf, type ModelReport, median, speedOf} from "./report.js";

const columns =
    "contender|text|tokens/s|quartiles|to plain with the same predictor|to itself without|by processor time|decodes/token";

/** Contenders of one sequence with and without node-llama-cpp's lookup predictor. */
export function predictorTable(report: ModelReport): Table {
    const measured = report.measured.filter(
        ({contender: {mode, sequences, rate, onePoolThread}}) =>
            sequences === 1 && mode !== "serial" && !onePoolThread && (rate === 1 || rate === 0.8)
    );
    const rows = measured.map((entry) => {
        const {mode, rate, predictor, copying} = entry.contender;
        const speed = speedOf(entry);
        const alike = {sequences: 1, copying};
        return [
            `${labelOf(entry.contender)}${predictor ? ", lookup" : ""}`,
            copying ? "copies its prompt" : "does not",
            short(speed.median),
            `${short(speed.low)}–${short(speed.high)}`,
            short(speed.median / report.speed({...alike, mode: "plain", predictor})),
            short(speed.median / report.speed({...alike, mode, rate})),
            short(report.processor({...alike, mode, rate}) / median(entry, ({processorMs}) => processorMs)),
            short(median(entry, ({decodesPerToken}) => decodesPerToken))
        ];
    });
    return {
        title: `${report.name}: node-llama-cpp's InputLookupTokenPredictor, one sequence`,
        columns: columns.split("|"),
        rows
    };
}

/** What issue 11 asks of predictors, by time and by processor time, which says more where other work goes on. */
export function predictorTargets(report: ModelReport): Target[] {
    const kinds = [
        {name: "tokens/s", ratio: (one: Wanted, other: Wanted) => report.speed(one) / report.speed(other)},
        {name: "processor time", ratio: (one: Wanted, other: Wanted) => report.processor(other) / report.processor(one)}
    ];
    return kinds.flatMap(({name, ratio}) => {
        const copies = {mode: "lanes", sequences: 1, predictor: true, copying: true} as const;
        const others = [1, 0.8].map((rate) => ({mode: "lanes", sequences: 1, rate}) as const);
        return [
            atLeast(
                `${report.name}: a text that copies its prompt, with a token predictor ≥ 0.9 of plain with the same, ${name}`,
                0.9,
                new Map([["100 %", ratio(copies, {...copies, mode: "plain"})]])
            ),
            atLeast(
                `${report.name}: another text, with a token predictor as fast as without but for 2 % of noise, ${name}`,
                0.98,
                new Map(others.map((kind) => [percent(kind.rate), ratio({...kind, predictor: true}, kind)]))
            )
        ];
    });
}

type Wanted = Parameters<ModelReport["speed"]>[0];
