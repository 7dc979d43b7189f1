/** Something that is measured against others. */
export interface Contender<T> {
    name: string;
    /** One round, in a fresh process. */
    measure(): Promise<T>;
    /** Why a result is not correct; it is checked before anything is compared. */
    problem(result: T): string | undefined;
}

/**
 * Runs rounds of A B C A B C …, so that other work on the machine meets all alike. A contender that fails or is wrong once
 * is left out, and the reason kept.
 */
export async function interleave<T>(
    contenders: readonly Contender<T>[],
    rounds: number,
    log: (line: string) => void
): Promise<{results: Map<string, T[]>; skipped: Record<string, string>}> {
    const results = new Map<string, T[]>();
    const skipped: Record<string, string> = {};
    for (let round = 0; round < rounds; round++) {
        for (const {name, measure, problem} of contenders) {
            if (name in skipped) continue;
            const start = performance.now();
            try {
                const result = await measure();
                const wrong = problem(result);
                if (wrong !== undefined) throw new Error(wrong);
                results.set(name, [...(results.get(name) ?? []), result]);
                log(`round ${round + 1}/${rounds}: ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
            } catch (error) {
                skipped[name] = (error as Error).message;
                results.delete(name);
                log(`round ${round + 1}/${rounds}: ${name} left out: ${skipped[name]}`);
            }
        }
    }
    return {results, skipped};
}
