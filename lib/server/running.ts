/** The answers of one request while they are generated or wait, and the settings that decide about them. */
import type {LlamaContextSequence} from "node-llama-cpp";
import {type AlignerSettings, mergeSettings, resolveSettings, settingsInForce} from "../align/options.js";
import {type Alignment, foundAgents} from "./alignment.js";
import type {Engine} from "./engine.js";
import type {SettingsChange} from "./schemas/mara.js";

export class Running {
    readonly #engine: Engine;
    readonly #sequences = new Set<LlamaContextSequence>();
    #alignment: Alignment | undefined;

    constructor(engine: Engine, alignment: Alignment | undefined) {
        this.#engine = engine;
        this.#alignment = alignment;
    }

    /** False for plain answers, which have no settings to change. */
    get isAligned(): boolean {
        return this.#alignment !== undefined;
    }

    /** Sets a sequence up for an answer. */
    begin(sequence: LlamaContextSequence): void {
        this.#engine.aligner?.configure(this.#alignment ?? {enabled: false}, sequence);
        this.#sequences.add(sequence);
    }

    end(sequence: LlamaContextSequence): void {
        this.#sequences.delete(sequence);
    }

    /**
     * From the next token on; answers that wait begin with it.
     * @returns in how many sequences it acts already
     * @throws ApiError 404 for an agent that is not served
     */
    change({agents, ...others}: SettingsChange): number {
        const before = this.#alignment ?? {};
        const set = Object.entries(others).filter(([, value]) => value !== undefined);
        const change: Partial<AlignerSettings> = Object.fromEntries(set);
        if (agents !== undefined) {
            const {threshold} = change;
            const given = foundAgents(this.#engine, agents, "agents");
            const kept = new Map(before.agents?.map((one) => [one.agent, one]));
            change.agents = resolveSettings({
                agents: given.map((one) => ({
                    ...kept.get(one.agent),
                    ...(threshold === undefined ? {} : {threshold}),
                    ...one
                }))
            }).agents;
        }
        this.#alignment = settingsInForce(resolveSettings(mergeSettings(before, change))) as Alignment;
        for (const sequence of this.#sequences) this.#engine.aligner?.configure(change, sequence);
        return this.#sequences.size;
    }
}
