import type {NativeStudentLearner} from "../../native-learners.js";

export interface Epochs<Look extends {loss: number}> {
    /** Most passes. */
    epochs: number;
    /** Epochs without improvement after which it stops. */
    patience: number;
    learningRate: number;
    /** The labels in the order in which an epoch takes them. */
    order: (epoch: number) => Int32Array;
    /** Looks at what is held out. */
    look: () => Promise<Look>;
    onEpoch: (done: number) => void;
    signal: AbortSignal | undefined;
}

/** The parameters of the epoch with the least held-out loss, and what was seen there. Epoch 0 is the network before the first one. */
export type BestEpoch<Look> = Look & {epoch: number; parameters: Float32Array};

/** Fits until the held-out loss no longer falls. `completed`: false if the signal ended it. */
export async function fitEpochs<Look extends {loss: number}>(
    learner: NativeStudentLearner,
    {epochs, patience, learningRate, order, look, onEpoch, signal}: Epochs<Look>
): Promise<{best: BestEpoch<Look>; completed: boolean}> {
    let best: BestEpoch<Look> = {...(await look()), epoch: 0, parameters: learner.parameters()};
    for (let epoch = 1; epoch <= epochs && epoch - best.epoch <= patience; epoch++) {
        if (signal?.aborted) return {best, completed: false};
        // Falls in a quarter of a cosine: large steps at first, hardly any at the end.
        const rate = learningRate * Math.cos(((epoch - 1) / epochs) * (Math.PI / 2));
        await learner.epoch(order(epoch), rate);
        const seen = await look();
        if (seen.loss < best.loss) best = {...seen, epoch, parameters: learner.parameters()};
        onEpoch(epoch);
    }
    return {best, completed: true};
}
