/** A reward that workers score with. Responses that are asked about together make up a job. */
import {resolve} from "node:path";
import {invalidArgument, MaraError, reasonOf} from "../errors.js";
import type {Prompt} from "../prompts/prompts.js";
import {filesOf} from "../rewards/built-in.js";
import {parseExpression} from "../rewards/expression.js";
import type {GuardOptions} from "../rewards/guard.js";
import type {RewardSpec} from "../rewards/open.js";
import {type GuardedReward, guarded, type ScoredResponse} from "../rewards/reward.js";
import {fileInput} from "../train/run/inputs.js";
import {checkScored} from "../validation/sources.js";
import type {Coordinator} from "./coordinator.js";
import type {JobQueue} from "./job-queue.js";
import type {PayloadOf} from "./payloads.js";
import {plain} from "./remote-model.js";
import {asScores} from "./results.js";

/** Responses of a job at most. */
const itemsOfJob = 16;

interface Asked {
    item: PayloadOf<"score">["items"][number];
    limits: {timeoutMs: number; retries: number};
    resolve: (score: ScoredResponse) => void;
    reject: (error: unknown) => void;
}

/**
 * Functions cannot travel. Files that the text names are known to workers by their hashes.
 * @throws MaraError REWARD_SPEC, REWARD_LOAD, INVALID_ARGUMENT
 */
export async function remoteReward(
    coordinator: Coordinator,
    spec: RewardSpec | undefined,
    {judgeQuestion, baseDirectory = "."}: {judgeQuestion?: string; baseDirectory?: string}
): Promise<GuardedReward> {
    if (typeof spec !== "string")
        throw invalidArgument("reward", "a reward by its name, since workers score the responses,", spec);
    const {definitions, terms} = parseExpression(spec);
    const named = [...definitions.flatMap((each) => each.terms), ...terms].flatMap((term) => filesOf(term));
    const files: Record<string, string> = {};
    const modules: string[] = [];
    for (const {file, module} of named) {
        const {sha256} = await fileInput(resolve(baseDirectory, file), "REWARD_LOAD");
        files[file] = sha256;
        if (module) modules.push(sha256);
    }
    const models = Object.values(files).filter((hash) => !modules.includes(hash));
    const queue = coordinator.queue({label: `the files of ${spec.slice(0, 100)}`, files: models, modules});
    const ask = new Asking(queue, {reward: spec, files, ...(judgeQuestion === undefined ? {} : {judgeQuestion})});
    return {
        name: spec.trim(),
        score: (prompt, response) => ask.score(prompt, response, {}),
        [guarded]: (prompt, response, limits) => ask.score(prompt, response, limits),
        dispose: async () => undefined
    };
}

class Asking {
    readonly #queue: JobQueue;
    readonly #reward: Pick<PayloadOf<"score">, "reward" | "files" | "judgeQuestion">;
    #line: Asked[] = [];

    constructor(queue: JobQueue, reward: Pick<PayloadOf<"score">, "reward" | "files" | "judgeQuestion">) {
        this.#queue = queue;
        this.#reward = reward;
    }

    async score(prompt: Prompt | string, response: string, limits: GuardOptions): Promise<ScoredResponse> {
        const {timeoutMs = 60_000, retries = 2} = limits;
        const item = {prompt: plain(checkScored(prompt, response)), response};
        return await new Promise((resolve, reject) => {
            // What is asked in the same turn of the event loop goes together.
            if (this.#line.length === 0) setImmediate(() => this.#flush());
            this.#line.push({item, limits: {timeoutMs, retries}, resolve, reject});
        });
    }

    #flush(): void {
        const line = this.#line;
        this.#line = [];
        for (let first = 0; first < line.length; first += itemsOfJob)
            void this.#settle(line.slice(first, first + itemsOfJob));
    }

    /** A job that its workers cannot end is asked again response by response, so that one of them spoils no other. */
    async #settle(asked: readonly Asked[]): Promise<void> {
        const items = asked.map(({item}) => item);
        const {limits} = asked[0] as Asked;
        try {
            const result = await this.#queue.run({kind: "score", ...this.#reward, ...limits, items});
            const scores = asScores(
                result,
                items.map(({response}) => response)
            );
            for (const [i, score] of scores.entries())
                if ("failure" in score) asked[i]?.reject(new MaraError("REWARD_FAILED", score.failure));
                else asked[i]?.resolve(score);
        } catch (error) {
            if (asked.length > 1) {
                for (const one of asked) void this.#settle([one]);
                return;
            }
            const reason = `The reward could not be asked: ${reasonOf(error)}`;
            asked[0]?.reject(new MaraError("REWARD_FAILED", reason, {cause: error}));
        }
    }
}
