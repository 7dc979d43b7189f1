/** Median and quartiles of the rounds' values. */
export interface Spread {
    median: number;
    low: number;
    high: number;
}

export function quantile(values: readonly number[], at: number): number {
    const sorted = [...values].sort((a, b) => a - b);
    const place = (sorted.length - 1) * at;
    const below = sorted[Math.floor(place)] ?? Number.NaN;
    const above = sorted[Math.ceil(place)] ?? Number.NaN;
    return below + (above - below) * (place - Math.floor(place));
}

export function spreadOf(values: readonly number[]): Spread {
    return {median: quantile(values, 0.5), low: quantile(values, 0.25), high: quantile(values, 0.75)};
}

export function medianOf(values: readonly number[]): number {
    return quantile(values, 0.5);
}
