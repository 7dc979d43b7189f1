/** A guide beside one that computes the whole text anew for every row. */
import type {LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import {expect} from "vitest";
import type {AlignedContextOptions, Guide, GuidedRow} from "../../lib/index.js";
import {align, rejections} from "../align/harness.js";
import type {Case} from "./reference.js";

/** The reference as a guide; it notes the text of every row. */
export function slowly({change}: Case): Guide & {rows: GuidedRow[]} {
    const rows: GuidedRow[] = [];
    // One plain context serves all sequences, one after the other.
    let last: Promise<unknown> = Promise.resolve();
    return {
        rows,
        async guide(logits, row) {
            const tokens = [...row.tokens];
            rows.push({...row, tokens});
            const before = last;
            const changing = before.then(() =>
                change(
                    Float64Array.from(logits),
                    tokens.slice(0, row.responseStart),
                    tokens.slice(row.responseStart),
                    row.hasGrammar
                )
            );
            last = changing;
            logits.set(await changing);
        }
    };
}

/** Does the same in a context with the guide and in one with the reference. Both must give the same. */
export async function likeReference<T>(
    model: LlamaModel,
    cases: readonly Case[],
    run: (sequences: LlamaContextSequence[]) => Promise<T>,
    options: AlignedContextOptions = {}
): Promise<void> {
    for (const one of cases) {
        const results: T[] = [];
        for (const guide of [one.guide, slowly(one)]) {
            const {context, aligner} = await align(model, {...options, guides: [guide]});
            const sequences = Array.from({length: options.sequences ?? 1}, () => context.getSequence());
            results.push(await run(sequences));
            if (options.agent !== undefined) expect(rejections(aligner.stats())).toBeGreaterThan(0);
        }
        expect(results[0], one.name).toEqual(results[1]);
    }
}
