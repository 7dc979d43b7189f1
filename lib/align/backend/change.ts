/** Lets several wait until something has changed. */
export class Change {
    #waiting: (() => void)[] = [];

    next(): Promise<void> {
        return new Promise((resolve) => {
            this.#waiting.push(resolve);
        });
    }

    tell(): void {
        for (const resolve of this.#waiting.splice(0)) resolve();
    }
}
