import type {AgentStudent} from "./student.js";

/** The verdicts that a student is fitted to and calibrated on are cut at ± this logit. */
export const largestLogit = 8;

/**
 * From which confidence on a student's verdicts are taken without asking the agent. A verdict's confidence is |mean − threshold| / standard
 * deviation, in logits.
 *
 * @param thresholdLogit logit of the aligner's threshold
 * @param agreement share, from 0 to 1, of the verdicts taken that are to agree with the agent's
 * @returns `confidence`, the least for which the held-out verdicts with this confidence or more agree that often; Infinity if there is none,
 * and beyond ±`largestLogit`, where the calibration's verdicts cannot tell who agrees.
 * `share`: of the held-out verdicts, those with this confidence
 */
export function minConfidence(
    {tensors: {calibration}}: Pick<AgentStudent, "tensors">,
    thresholdLogit: number,
    agreement: number
): {confidence: number; share: number} {
    if (agreement === 0) return {confidence: 0, share: 1};
    const isBeyond = Number.isFinite(thresholdLogit) && Math.abs(thresholdLogit) >= largestLogit;
    if (isBeyond) return {confidence: Number.POSITIVE_INFINITY, share: 0};
    const {data} = calibration;
    const rows = Array.from({length: data.length / 3}, (_, row) => {
        const [mean, sigma, logit] = data.subarray(3 * row, 3 * row + 3) as unknown as [number, number, number];
        return {
            confidence: Math.abs(mean - thresholdLogit) / sigma,
            agrees: mean > thresholdLogit === logit > thresholdLogit
        };
    }).sort((a, b) => b.confidence - a.confidence);
    let [agreed, min, share] = [0, Number.POSITIVE_INFINITY, 0];
    for (const [i, {confidence, agrees}] of rows.entries()) {
        if (agrees) agreed++;
        // Verdicts of one confidence are taken together or not at all.
        if (rows[i + 1]?.confidence === confidence || agreed / (i + 1) < agreement) continue;
        [min, share] = [confidence, (i + 1) / rows.length];
    }
    return {confidence: min, share};
}

/**
 * What the cascade `"auto"` asks for, and the held-out agreement that a student must reach for it. At 0.95 four trained agents kept 93 to
 * 105 % of their gain (docs/results, with intervals); below the bar too few verdicts would be spared to be worth a difference.
 */
export const automatic = {agreement: 0.95, bar: 0.8};

/** Undefined where `"auto"` leaves the student out. */
export function automaticAgreement({heldOutAgreement}: Pick<AgentStudent, "heldOutAgreement">): number | undefined {
    return heldOutAgreement >= automatic.bar ? automatic.agreement : undefined;
}
