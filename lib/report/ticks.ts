/** The least round step (1, 2, 2.5 or 5 times a power of ten) of which at most `max` make up `span`. */
export function niceStep(span: number, max: number): number {
    const power = 10 ** Math.floor(Math.log10(span / max));
    // A little tolerance, since 0.3 / 0.1 is not 3.
    return [1, 2, 2.5, 5].map((factor) => factor * power).find((step) => span / step <= max + 1e-9) ?? 10 * power;
}
