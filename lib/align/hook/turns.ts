/** Lets callers go one after the other, because all rows are sampled from the same place of llama.cpp's buffer. */
export class Turns {
    #last: Promise<unknown> = Promise.resolve();

    run<T>(work: () => Promise<T>): Promise<T> {
        const turn = this.#last.then(work);
        this.#last = turn.catch(() => {});
        return turn;
    }
}
