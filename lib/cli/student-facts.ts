/** What the command line says about an agent's student. */
import type {MaraAgent} from "../agent/agent.js";
import {automatic, automaticAgreement, minConfidence} from "../agent/calibration.js";
import type {AgentStudent} from "../agent/student.js";
import {trainedWith} from "../align/candidate-options.js";
import {logitOf} from "../align/steer/panel.js";
import {formatInteger} from "../plural.js";
import {percent} from "./format.js";

const agreements = [0.99, 0.98, 0.95, 0.9] as const;

export interface StudentFacts extends Omit<AgentStudent, "tensors"> {
    /** By agreement: the share of held-out verdicts that it decides. */
    decided: Record<string, number>;
    /** The agreement that the cascade `"auto"` asks for; null where it leaves the student out. */
    automatic: number | null;
}

/** At the agent's own threshold, if no other is given. Undefined where there is no student. */
export function studentFacts(agent: MaraAgent, threshold = thresholdOf(agent)): StudentFacts | undefined {
    const {student} = agent;
    if (student === undefined) return undefined;
    const {tensors: _, ...facts} = student;
    const decided = agreements.map(
        (agreement) => [agreement, minConfidence(student, logitOf(threshold), agreement).share] as const
    );
    return {...facts, decided: Object.fromEntries(decided), automatic: automaticAgreement(student) ?? null};
}

/** Names and texts of lines. */
export function studentRows({
    labels,
    heldOutAgreement,
    heldOutR2,
    decided,
    automatic: asked
}: StudentFacts): [string, string][] {
    const shares = Object.entries(decided).sort(([a], [b]) => Number(b) - Number(a));
    return [
        ["learnt from", `${formatInteger(labels)} verdicts`],
        ["held out", `${percent(heldOutAgreement)} of verdicts are the agent's, R² ${heldOutR2.toFixed(2)}`],
        [
            "decides",
            shares.map(([at, share], i) => `${percent(share)} at ${i === 0 ? "agreement " : ""}${at}`).join(", ")
        ],
        [
            '"auto"',
            asked === null
                ? `leaves it out, since fewer than ${percent(automatic.bar)} of verdicts are alike`
                : `asks for agreement ${asked}`
        ]
    ];
}

function thresholdOf(agent: MaraAgent): number {
    try {
        return trainedWith(agent).threshold ?? 0.5;
    } catch {
        // The command tells of settings that are wrong in the file where it shows them.
        return 0.5;
    }
}
