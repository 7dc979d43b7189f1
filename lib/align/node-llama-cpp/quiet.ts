/** Hides one warning of llama.cpp that would mislead users. */
import {setImmediate} from "node:timers/promises";
import type {Llama} from "node-llama-cpp";

/** llama.cpp's warning about a context with more cells than the model was trained on. */
const overflow = /possible training context overflow/;

const quieted = new WeakMap<Llama, {users: number; stock: Llama["logger"]; quiet: Llama["logger"]}>();

/**
 * Runs `create` without that warning as long as `isOurs` says that the cells beyond the training context are the lanes', not those of a
 * sequence. A logger that is set meanwhile stays.
 */
export async function withoutOverflowWarning<T>(
    llama: Llama,
    isOurs: () => boolean,
    create: () => Promise<T>
): Promise<T> {
    const stock = llama.logger;
    const state = quieted.get(llama) ?? {
        users: 0,
        stock,
        quiet: (level, message) => {
            if (!overflow.test(message) || !isOurs()) stock(level, message);
        }
    };
    quieted.set(llama, state);
    if (state.users++ === 0) llama.logger = state.quiet;
    try {
        return await create();
    } finally {
        // Messages of native threads come through the event loop, and may arrive after the job that wrote them has ended.
        await setImmediate();
        if (--state.users === 0) {
            quieted.delete(llama);
            if (llama.logger === state.quiet) llama.logger = state.stock;
        }
    }
}
