import {onTestFinished} from "vitest";
import {LanesBackend} from "../../lib/align/backend/lanes-backend.js";

/** Notes the decodes of every context with lanes: how many tokens each had, and at how many of them another was under way. */
export function watchDecodes(): {counts: Map<object, number>; sizes: Map<object, number[]>; together: () => number} {
    const {prototype} = LanesBackend;
    const counts = new Map<object, number>();
    const sizes = new Map<object, number[]>();
    let running = 0;
    let together = 0;
    const watched = <Args extends [readonly unknown[], ...unknown[]], Result>(
        stock: (...args: Args) => Promise<Result>
    ) =>
        async function (this: LanesBackend, ...args: Args): Promise<Result> {
            counts.set(this, (counts.get(this) ?? 0) + 1);
            sizes.set(this, [...(sizes.get(this) ?? []), args[0].length]);
            if (running++ > 0) together++;
            try {
                return await stock.apply(this, args);
            } finally {
                running--;
            }
        };
    const {decode, wave} = prototype;
    Object.assign(prototype, {decode: watched(decode), wave: watched(wave)});
    onTestFinished(() => {
        Object.assign(prototype, {decode, wave});
    });
    return {counts, sizes, together: () => together};
}
