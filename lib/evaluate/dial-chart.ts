import {svgLines} from "../report/svg.js";
import type {EvaluationResult} from "./result.js";

/** The threshold dial as an SVG file: the gain at each threshold, and its cost where it was measured. */
export function dialSvg({dial, others, config}: EvaluationResult): string {
    const [baseline] = others;
    const base = baseline?.perplexity.value ?? null;
    const number = (value: number) => String(Number(value.toPrecision(3)));
    return svgLines(
        {
            title: "The threshold dial",
            subtitle: `${config.prompts} prompts, ${config.rewards[0]}, against ${config.against[0]}; bands: 95 % intervals`,
            axis: "threshold"
        },
        dial.map(({threshold}) => String(threshold)),
        [
            {
                title: "preference rate, %",
                points: dial.map(({pair: {preferenceRate: rate}}) => ({
                    value: rate.value === null ? null : 100 * rate.value,
                    interval: rate.interval95 && [100 * rate.interval95[0], 100 * rate.interval95[1]]
                })),
                color: "#0b62a8",
                format: number,
                reference: {value: 50, name: "even"}
            },
            ...(config.fluency
                ? [
                      {
                          title: "perplexity of the answers under the unaligned model",
                          points: dial.map(({side: {perplexity}}) => ({
                              value: perplexity.value,
                              interval: perplexity.interval95
                          })),
                          color: "#b4540a",
                          format: number,
                          ...(base === null ? {} : {reference: {value: base, name: baseline?.name ?? ""}})
                      }
                  ]
                : [])
        ]
    );
}
