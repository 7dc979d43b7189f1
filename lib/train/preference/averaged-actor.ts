/**
 * The average of an agent's weights over the steps of its fit, in which later steps count more: the last ninth of them makes up two
 * thirds. Held-out loss is lower than with the weights of the last step, and depends less on the seed
 * (docs/training/advantage.md). This is polynomial-decay averaging with η = 8 (Shamir and Zhang 2013, arXiv:1212.1824).
 */
import type {ActorTensors} from "../run/job.js";

const decay = 8;

export class AveragedActor {
    readonly #tensors: ActorTensors;
    #steps: number;

    /** `actor` is the average after so many steps, and is written to from then on. */
    constructor(actor: ActorTensors, steps: number) {
        this.#tensors = actor;
        this.#steps = steps;
    }

    /** Takes in the weights after another step. */
    add(actor: ActorTensors): void {
        this.#steps++;
        const share = (decay + 1) / (decay + this.#steps);
        for (const [name, {data}] of Object.entries(actor)) {
            const average = this.#tensors[name]?.data as Float32Array;
            for (let i = 0; i < average.length; i++) {
                const value = average[i] as number;
                average[i] = value + share * ((data[i] as number) - value);
            }
        }
    }

    /** A copy of the average. */
    actor(): ActorTensors {
        return Object.fromEntries(
            Object.entries(this.#tensors).map(([name, {shape, data}]) => [name, {shape, data: Float32Array.from(data)}])
        );
    }
}
