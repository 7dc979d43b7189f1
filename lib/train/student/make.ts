/** From an agent and a model to a student: collecting, the embeddings, fitting. */
import type {LlamaModel} from "node-llama-cpp";
import type {MaraAgent} from "../../agent/agent.js";
import type {AgentStudent} from "../../agent/student.js";
import {readEmbeddings} from "../../align/node-llama-cpp/embeddings.js";
import {MaraError} from "../../errors.js";
import {promptTokens} from "../../generation/prompt-tokens.js";
import type {Prompt} from "../../prompts/prompts.js";
import {type RolloutOptions, Rollouts} from "../rollout/rollouts.js";
import type {Job} from "../run/job.js";
import {Phase, type TrainProgress} from "../run/progress.js";
import {collectLabels} from "./collect.js";
import {addDrawn, type DrawnFrom} from "./drawn.js";
import {fitStudent} from "./fit.js";
import {logit} from "./labels.js";

export interface MakeStudent {
    model: LlamaModel;
    /** SHA-256 of the model's file. */
    modelHash: string;
    agent: MaraAgent;
    prompts: readonly Prompt[];
    threshold: number;
    decisions: number;
    /** Responses after which it makes do with fewer decisions. */
    responses: number;
    epochs: number;
    seed: number;
    threads: number;
    maxTokens: number;
    rollouts: Omit<RolloutOptions, "maxTokens" | "contextSize">;
    listener: Job["listener"];
    /** The run's preset, for progress; null without a run. */
    preset: TrainProgress["preset"];
    signal: AbortSignal | undefined;
    /** Responses of the model's own to the same prompts, with their states. */
    drawn?: Omit<DrawnFrom, "agent"> | undefined;
}

export interface MadeStudent {
    student: AgentStudent;
    /** False if the signal ended it early: the student was made from what there was. */
    completed: boolean;
    decisions: {training: number; heldOut: number};
}

/** @throws MaraError STUDENT_TOO_FEW, MODEL_UNSUPPORTED, LEARNER_DIVERGED, and those of `Rollouts` */
export async function makeStudent(work: MakeStudent): Promise<MadeStudent> {
    const {model, prompts, agent, seed, preset, listener, signal, maxTokens} = work;
    const job = {config: {preset}, listener};
    if (prompts.length < 2) throw tooFew(`${prompts.length} prompt is too few, since some must be held out`);
    // A model whose embeddings cannot be read is refused before anything is generated.
    await readEmbeddings(model, [0]);
    const collecting = new Phase("decisions", {total: work.decisions, from: 0, job});
    const longest = prompts.reduce((max, prompt) => Math.max(max, promptTokens(model, prompt).length), 0);
    const rollouts = await Rollouts.open(model, {
        ...work.rollouts,
        order: "best-first",
        // The student takes log-probabilities at temperature 1, whatever temperature the agent is used with.
        candidates: {...work.rollouts.candidates, temperature: 1},
        maxTokens,
        contextSize: longest + maxTokens
    });
    const {training, heldOut, heldOutPrompts, completed} = await collectLabels({
        ...work,
        rollouts,
        onDecisions: (done) => collecting.tell(done)
    }).finally(() => rollouts.close());
    const decisions = {training: training.decisions, heldOut: heldOut.decisions};
    if (Math.min(decisions.training, decisions.heldOut) === 0)
        throw tooFew(
            completed
                ? "The responses hold no decision, because there is one candidate for each token"
                : "It was interrupted before the first decisions were complete"
        );
    if (work.drawn !== undefined)
        await addDrawn(training, {...work.drawn, agent}, (prompt) => heldOutPrompts.has(prompt));
    const [learnt, held] = [training.join(), heldOut.join()];
    const tokens = Int32Array.from(new Set([...learnt.token, ...held.token])).sort();
    const fitting = new Phase("student", {total: work.epochs, from: 0, job});
    const {completed: fitted, ...fit} = await fitStudent(
        learnt,
        held,
        {tokens, embeddings: await readEmbeddings(model, tokens)},
        {
            seed,
            epochs: work.epochs,
            threads: work.threads,
            thresholdLogit: logit(work.threshold),
            onEpoch: (done) => fitting.tell(done),
            // What an interrupted collection left is fitted to the end, which takes seconds.
            signal: completed ? signal : undefined
        }
    );
    const student: AgentStudent = {
        model: work.modelHash,
        activation: "relu",
        ...fit,
        labels: learnt.logit.length
    };
    agent.student = student;
    return {student, completed: completed && fitted, decisions};
}

function tooFew(reason: string): MaraError {
    return new MaraError("STUDENT_TOO_FEW", `${reason}. Give more prompts, or let it run longer.`);
}
