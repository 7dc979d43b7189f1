import type {LlamaModel} from "node-llama-cpp";
import {automaticAgreement, minConfidence} from "../../agent/calibration.js";
import type {AgentStudent} from "../../agent/student.js";
import {reasonOf} from "../../errors.js";
import type {NativeStudent} from "../../native.js";
import type {Backend, HeldRow} from "../backend/backend.js";
import type {DrawnCandidate} from "../decide/candidates.js";
import type {ResolvedSettings} from "../options.js";
import {
    logitOf,
    type Member,
    type Opinion,
    type Opinions,
    type Panel,
    probabilityOf,
    weightedMean
} from "../steer/panel.js";
import {warnOnce} from "../warn-once.js";
import {hashOfModel, studentTable} from "./student-table.js";

/** The logarithm of a probability as a student takes it is at least this. */
const logProbabilityMin = Math.log(1e-6);

const needsLanes =
    "it needs lanes, and this context is in serial mode, in which llama.cpp gives no states to a student.";
const needsStudent = "the agent has no student. Make one with `mara train student`.";
const neverAgrees = (agreement: number) =>
    `by its calibration, the agent's student is never sure enough for ${agreement} of its verdicts to agree with the agent's. Ask for less.`;

/** A student that stands in for the panel's member at `index`. */
interface StandIn {
    readonly student: NativeStudent;
    readonly index: number;
    /** How many standard errors its verdict has to be from the threshold to be taken. */
    readonly confidence: number;
}

/** The students of a panel's agents, at the panel's thresholds: which of their verdicts need no asking. */
export class Cascade {
    readonly #panel: Panel;
    readonly #standIns: readonly StandIn[];

    constructor(panel: Panel, standIns: readonly StandIn[]) {
        this.#panel = panel;
        this.#standIns = standIns;
    }

    /** Adds to `opinions`, by rank, those that the students are sure enough of. Adds none if the row has no hidden state. */
    predict(row: Pick<HeldRow, "predict">, candidates: readonly DrawnCandidate[], opinions: readonly Opinions[]): void {
        const tokens = Int32Array.from(candidates, ({token}) => token);
        const logs = logProbabilities(candidates);
        const predicted: Float32Array[] = [];
        for (const {student} of this.#standIns) {
            const verdicts = row.predict(student, tokens, logs);
            if (verdicts === undefined) return;
            predicted.push(verdicts);
        }
        for (const [rank, ofOne] of opinions.entries()) {
            const guesses = this.#standIns.map((standIn, i) => {
                const [mean, deviation] = (predicted[i] as Float32Array).subarray(2 * rank) as unknown as number[];
                return {...standIn, mean: mean as number, deviation: deviation as number};
            });
            for (const {index, mean} of this.#sure(guesses, ofOne))
                ofOne[index] = {logit: mean, probability: probabilityOf(mean), by: "student"};
        }
    }

    #sure(guesses: readonly Guess[], opinions: Opinions): readonly Guess[] {
        const {members, combine, threshold} = this.#panel;
        if (combine !== "weighted" || members.length === 1)
            return guesses.filter(({index, mean, deviation, confidence}) => {
                const {threshold: own} = members[index] as Member;
                if (!Number.isFinite(mean)) return false;
                return Math.abs(mean - logitOf(own)) / deviation >= confidence;
            });
        // The mean is sure or not as a whole. The students' errors count as independent of each other.
        const guessed = members.map((_, i) => guesses.find(({index}) => index === i));
        if (members.some((_, i) => guessed[i] === undefined && opinions[i] === null)) return [];
        const logits = members.map((_, i) => guessed[i]?.mean ?? (opinions[i] as Opinion).logit);
        const total = members.reduce((sum, {weight}) => sum + weight, 0);
        const deviation = Math.hypot(...members.map(({weight}, i) => (weight / total) * (guessed[i]?.deviation ?? 0)));
        const distance = Math.abs(weightedMean(members, (i) => logits[i] as number) - logitOf(threshold));
        const confidence = Math.max(...guesses.map((guess) => guess.confidence));
        return Number.isFinite(distance) && distance / deviation >= confidence ? guesses : [];
    }
}

interface Guess extends StandIn {
    /** Where the student expects the accept logit; `deviation` says how far it may be off. */
    readonly mean: number;
    readonly deviation: number;
}

/** Logarithms of the candidates' probabilities among each other at temperature 1. */
function logProbabilities(candidates: readonly DrawnCandidate[]): Float32Array {
    const largest = candidates[0]?.logit ?? 0;
    const total = largest + Math.log(candidates.reduce((sum, {logit}) => sum + Math.exp(logit - largest), 0));
    return Float32Array.from(candidates, ({logit}) => Math.max(logProbabilityMin, logit - total));
}

/** A student before it is made ready. */
interface Chosen extends Omit<StandIn, "student"> {
    readonly student: AgentStudent;
}

/** A cascade, and the students that the panel's members had when it was made: an agent may be given another. */
interface Known {
    readonly students: readonly (AgentStudent | undefined)[];
    cascade: Cascade | undefined | Promise<Cascade | undefined>;
}

/** The cascades of a context, one for each of its settings that wants one. */
export class Cascades {
    readonly #model: LlamaModel;
    readonly #backend: Backend;
    readonly #known = new WeakMap<ResolvedSettings, Known>();

    constructor(model: LlamaModel, backend: Backend) {
        this.#model = model;
        this.#backend = backend;
    }

    /** The settings' cascade, undefined where there is none. A promise the first time, while the student is being made ready. Never rejects. */
    of(settings: ResolvedSettings): Cascade | undefined | Promise<Cascade | undefined> {
        const {members} = settings.panel;
        const known = this.#known.get(settings);
        if (known !== undefined && members.every(({agent}, i) => agent?.student === known.students[i]))
            return known.cascade;
        const made: Known = {students: members.map(({agent}) => agent?.student), cascade: this.#make(settings)};
        this.#known.set(settings, made);
        if (made.cascade instanceof Promise)
            void made.cascade.then((cascade) => {
                made.cascade = cascade;
            });
        return made.cascade;
    }

    #make(settings: ResolvedSettings): undefined | Promise<Cascade | undefined> {
        const {panel, cascade, enabled} = settings;
        const {agents, members} = panel;
        if (!enabled || agents.length === 0 || agents.some(({disposed}) => disposed) || cascade === "off")
            return undefined;
        const chosen = members.flatMap((member, index) => this.#chosen(member, index, settings) ?? []);
        // A weighted mean needs everybody's opinion.
        const others = members.filter((_, i) => !chosen.some(({index}) => index === i));
        const isIncomplete = panel.combine === "weighted" && others.some(({judge}) => judge?.needsStates !== false);
        if (chosen.length === 0 || isIncomplete) return undefined;
        return this.#standIns(chosen).then((standIns) => {
            if (standIns.length === 0 || (panel.combine === "weighted" && standIns.length < chosen.length))
                return undefined;
            this.#backend.keepStates();
            return new Cascade(panel, standIns);
        });
    }

    /** The member's student, where it has one to be used. */
    #chosen({agent, threshold: own}: Member, index: number, {panel, cascade}: ResolvedSettings): Chosen | undefined {
        if (agent === undefined) return undefined;
        const {student} = agent;
        // Elsewhere the others' students go on without this one's.
        const isWhole = panel.combine === "weighted" || panel.members.length === 1;
        const part = isWhole ? "" : ` for agent ${panel.agents.indexOf(agent) + 1} of ${panel.agents.length}`;
        const off = (reason: string) => {
            if (cascade !== "auto") warnOnce(`The cascade that was asked for is off${part}: ${reason}`);
            return undefined;
        };
        if (student === undefined || this.#backend.mode === "serial") return off(student ? needsLanes : needsStudent);
        const agreement = cascade === "auto" ? automaticAgreement(student) : (cascade as {agreement: number}).agreement;
        if (agreement === undefined) return undefined;
        const thresholdLogit = logitOf(panel.combine === "weighted" ? panel.threshold : own);
        const {confidence} = minConfidence(student, thresholdLogit, agreement);
        if (confidence === Number.POSITIVE_INFINITY && Number.isFinite(thresholdLogit))
            return off(neverAgrees(agreement));
        return {student, index, confidence};
    }

    async #standIns(chosen: readonly Chosen[]): Promise<StandIn[]> {
        const made = await Promise.all(
            chosen.map(async ({student, ...rest}) => ({...rest, student: await this.#ready(student)}))
        );
        return made.filter((one): one is StandIn => one.student !== undefined);
    }

    async #ready(student: AgentStudent): Promise<NativeStudent | undefined> {
        try {
            if ((await hashOfModel(this.#model)) === student.model) return await studentTable(this.#model, student);
            warnOnce(
                `The agent's student was made for another model (SHA-256 ${student.model.slice(0, 12)}…) and is not used: the agent is asked about ` +
                    'every candidate. Make one for this model with `mara train student`, or silence this with cascade: "off".'
            );
        } catch (error) {
            warnOnce(`The agent's student is not used: ${reasonOf(error)}`);
        }
        return undefined;
    }
}
