import type {LlamaModel} from "node-llama-cpp";
import {minConfidence} from "../../agent/calibration.js";
import type {AgentStudent} from "../../agent/student.js";
import {reasonOf} from "../../errors.js";
import type {NativeStudent} from "../../native.js";
import type {Backend, HeldRow} from "../backend/backend.js";
import type {DrawnCandidate} from "../decide/candidates.js";
import type {ResolvedSettings} from "../options.js";
import {warnOnce} from "../warn-once.js";
import {hashOfModel, studentTable} from "./student-table.js";

/**
 * What `"auto"` asks for, and the held-out agreement that a student must reach for it. A student at 0.88 kept what its calibration promises, and
 * the agent's choice in 99 % of decisions (docs/results/student.md); below the bar too few verdicts would be spared to be worth a difference.
 */
const automatic = {agreement: 0.99, bar: 0.8};

/** The logarithm of a probability as a student takes it is at least this. */
const logProbabilityMin = Math.log(1e-6);

const needsLanes =
    "it needs lanes, and this context is in serial mode, in which llama.cpp gives no states to a student.";
const needsStudent = "the agent has no student. Make one with `mara train student`.";
const neverAgrees = (agreement: number) =>
    `by its calibration, the agent's student is never sure enough for ${agreement} of its verdicts to agree with the agent's. Ask for less.`;

/** A student at one threshold: which of its verdicts need no asking. */
export class Cascade {
    readonly #student: NativeStudent;
    readonly #thresholdLogit: number;
    readonly #confidence: number;

    constructor(student: NativeStudent, thresholdLogit: number, confidence: number) {
        this.#student = student;
        this.#thresholdLogit = thresholdLogit;
        this.#confidence = confidence;
    }

    /**
     * Accept probabilities of the candidates that the student is sure enough of, null for the others; undefined if the row has no hidden state.
     */
    predict(row: Pick<HeldRow, "predict">, candidates: readonly DrawnCandidate[]): (number | null)[] | undefined {
        const tokens = Int32Array.from(candidates, ({token}) => token);
        const verdicts = row.predict(this.#student, tokens, logProbabilities(candidates));
        if (verdicts === undefined) return undefined;
        return candidates.map((_, rank) => {
            const [mean, deviation] = verdicts.subarray(2 * rank, 2 * rank + 2) as unknown as [number, number];
            const isSure = Math.abs(mean - this.#thresholdLogit) / deviation >= this.#confidence;
            return isSure ? 1 / (1 + Math.exp(-mean)) : null;
        });
    }
}

/** Logarithms of the candidates' probabilities among each other at temperature 1. */
function logProbabilities(candidates: readonly DrawnCandidate[]): Float32Array {
    const largest = candidates[0]?.logit ?? 0;
    const total = largest + Math.log(candidates.reduce((sum, {logit}) => sum + Math.exp(logit - largest), 0));
    return Float32Array.from(candidates, ({logit}) => Math.max(logProbabilityMin, logit - total));
}

/** The cascades of a context, one for each of its settings that wants one. */
export class Cascades {
    readonly #model: LlamaModel;
    readonly #backend: Backend;
    readonly #known = new WeakMap<ResolvedSettings, Cascade | undefined | Promise<Cascade | undefined>>();

    constructor(model: LlamaModel, backend: Backend) {
        this.#model = model;
        this.#backend = backend;
    }

    /** The settings' cascade, undefined where there is none. A promise the first time, while the student is being made ready. Never rejects. */
    of(settings: ResolvedSettings): Cascade | undefined | Promise<Cascade | undefined> {
        if (this.#known.has(settings)) return this.#known.get(settings);
        const made = this.#make(settings);
        this.#known.set(settings, made);
        if (made instanceof Promise) void made.then((cascade) => this.#known.set(settings, cascade));
        return made;
    }

    #make(settings: ResolvedSettings): undefined | Promise<Cascade | undefined> {
        const {agent, cascade, enabled, threshold} = settings;
        if (!enabled || agent === undefined || agent.disposed || cascade === "off") return undefined;
        const {student} = agent;
        if (student === undefined || this.#backend.mode === "serial") {
            if (cascade !== "auto")
                warnOnce(`The cascade that was asked for is off: ${student ? needsLanes : needsStudent}`);
            return undefined;
        }
        const agreement = cascade === "auto" ? automaticAgreement(student) : cascade.agreement;
        if (agreement === undefined) return undefined;
        const thresholdLogit = Math.log(threshold / (1 - threshold));
        const {confidence} = minConfidence(student, thresholdLogit, agreement);
        if (confidence === Number.POSITIVE_INFINITY && Number.isFinite(thresholdLogit)) {
            if (cascade !== "auto") warnOnce(`The cascade that was asked for is off: ${neverAgrees(agreement)}`);
            return undefined;
        }
        return this.#ready(student).then((table) => {
            if (table === undefined) return undefined;
            this.#backend.keepStates(true);
            return new Cascade(table, thresholdLogit, confidence);
        });
    }

    async #ready(student: AgentStudent): Promise<NativeStudent | undefined> {
        try {
            if ((await hashOfModel(this.#model)) === student.model) return await studentTable(this.#model, student);
            warnOnce(
                `The agent's student was made for another model (SHA-256 ${student.model.slice(0, 12)}…) and is not used: every candidate is ` +
                    'decoded and judged by the agent. Make one for this model with `mara train student`, or silence this with cascade: "off".'
            );
        } catch (error) {
            warnOnce(`The agent's student is not used: ${reasonOf(error)}`);
        }
        return undefined;
    }
}

function automaticAgreement({heldOutAgreement}: AgentStudent): number | undefined {
    return heldOutAgreement >= automatic.bar ? automatic.agreement : undefined;
}
