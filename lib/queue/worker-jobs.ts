/** Does a worker's jobs: with its own files, and with the contexts of the job before where they suit. */
import type {Llama, LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../agent/agent.js";
import {createAlignedContext} from "../align/aligned-context.js";
import {guideOf, renameFiles} from "../align/guides/spec.js";
import {newContext} from "../align/node-llama-cpp/new-context.js";
import type {WeightedAgent} from "../align/options.js";
import {MaraError} from "../errors.js";
import type {StoredBlock} from "../evaluate/side-store.js";
import {type OpenSide, storedBlock} from "../evaluate/stored-block.js";
import {AnswerPool} from "../generation/answers.js";
import {maxJudging} from "../native.js";
import {scoreGuarded} from "../rewards/guard.js";
import {openRewardWith} from "../rewards/open.js";
import type {Reward, ScoredResponse} from "../rewards/reward.js";
import {Rollouts} from "../train/rollout/rollouts.js";
import type {Trajectory} from "../train/rollout/trajectory.js";
import {openModelFile} from "../train/run/model.js";
import {toHalf} from "./encode.js";
import {sha256} from "./names.js";
import {maxBytes, type Payload, type PayloadOf} from "./payloads.js";
import type {WorkerFiles} from "./worker-files.js";

/** Things that are kept open for the next job. */
const maxOpen = {model: 2, rollouts: 1, side: 1, reward: 4} as const;

interface Opened<T> {
    value: T;
    close(): Promise<void>;
}

/** Opens by key, and closes what was used longest ago. One job at a time uses it. */
class Kept<T> {
    readonly #max: number;
    readonly #open = new Map<string, Opened<T>>();

    constructor(max: number) {
        this.#max = max;
    }

    async get(key: string, open: () => Promise<Opened<T>>): Promise<T> {
        let opened = this.#open.get(key);
        this.#open.delete(key);
        while (opened === undefined && this.#open.size >= this.#max) await this.#closeOldest();
        opened ??= await open();
        this.#open.set(key, opened);
        return opened.value;
    }

    async #closeOldest(): Promise<void> {
        const [[key, opened] = []] = this.#open;
        if (key === undefined) return;
        this.#open.delete(key);
        await opened?.close();
    }

    async close(): Promise<void> {
        while (this.#open.size > 0) await this.#closeOldest();
    }
}

export interface JobTools {
    llama: Llama;
    files: WorkerFiles;
    /** Threads of the models, whatever a job says. */
    threads: number | undefined;
    /** The bytes under this hash in Redis. */
    fetchAgent: (sha256: string) => Promise<Uint8Array | null>;
    /** Called with the number of tokens that a step gave. */
    onTokens: (count: number) => void;
}

export class WorkerJobs {
    readonly #tools: JobTools;
    readonly #models = new Kept<LlamaModel>(maxOpen.model);
    readonly #rollouts = new Kept<Rollouts>(maxOpen.rollouts);
    readonly #sides = new Kept<OpenSide & {pool: AnswerPool}>(maxOpen.side);
    readonly #rewards = new Kept<Reward>(maxOpen.reward);
    readonly #agents = new Map<string, Uint8Array>();
    #generating: Promise<unknown> = Promise.resolve();
    #scoring: Promise<unknown> = Promise.resolve();

    constructor(tools: JobTools) {
        this.#tools = tools;
    }

    /** The result, for `encodeResult`. Jobs that generate take turns, and so do those that score. */
    async run(payload: Payload): Promise<unknown> {
        const work = () => this.#work(payload);
        if (payload.kind === "score") {
            const turn = this.#scoring.then(work);
            this.#scoring = turn.catch(() => undefined);
            return await turn;
        }
        const turn = this.#generating.then(work);
        this.#generating = turn.catch(() => undefined);
        return await turn;
    }

    async #work(payload: Payload): Promise<unknown> {
        switch (payload.kind) {
            case "rollout":
                return await this.#explore(payload);
            case "read":
                return await this.#read(payload);
            case "answer":
                return await this.#answer(payload);
            case "score":
                return await this.#score(payload);
        }
    }

    async #explore({model, agent: hash, options, prompts, seeds, threshold, states}: PayloadOf<"rollout">) {
        const rollouts = await this.#openRollouts(model, options);
        const agent =
            hash === null
                ? undefined
                : await MaraAgent.load(await this.#agentBytes(hash), {dtype: "f32", ...this.#threads(options.threads)});
        const trajectories: Omit<Trajectory, "prompt">[] = [];
        try {
            await rollouts.run(
                agent,
                prompts,
                seeds,
                ({prompt: _, ...trajectory}, i) => {
                    const kept = states === "none" ? new Float32Array(0) : trajectory.states;
                    trajectories[i] = {...trajectory, states: (states === "f16" ? toHalf(kept) : kept) as Float32Array};
                },
                {onTokens: this.#tools.onTokens, ...(threshold === undefined ? {} : {threshold})}
            );
        } finally {
            agent?.dispose();
        }
        return trajectories;
    }

    async #read({model, options, texts, states}: PayloadOf<"read">) {
        const rollouts = await this.#openRollouts(model, options);
        const read: {tokens: number[]; states: Float32Array | Uint8Array}[] = [];
        await rollouts.eachResponseStates(texts, (one, i) => {
            read[i] = {tokens: one.tokens, states: states === "f16" ? toHalf(one.states) : one.states};
        });
        return read;
    }

    async #answer(payload: PayloadOf<"answer">): Promise<StoredBlock> {
        const {model: hash, context: shape, aligned, guide, texts, firstIndex, maxTokens, seed, sampling} = payload;
        const model = await this.#model(hash);
        const context = {...shape, ...this.#threads(shape.threads)};
        const side = await this.#sides.get(
            JSON.stringify([hash, context, aligned ?? null, guide ?? null]),
            async () => {
                const open = await this.#openSide(model, context, payload);
                const pool = new AnswerPool(open.context, shape.sequences);
                return {value: {...open, pool}, close: () => open.close()};
            }
        );
        side.aligner?.resetStats();
        const block = await side.pool.answer(
            texts.map(() => ({prompt: ""})),
            {
                ...(sampling as {temperature?: number}),
                maxTokens,
                seed,
                firstIndex,
                tokensOf: (_, index) => texts[index - firstIndex] as never,
                onTokens: this.#tools.onTokens
            }
        );
        return storedBlock(side, firstIndex, block);
    }

    async #openSide(
        model: LlamaModel,
        shape: PayloadOf<"answer">["context"],
        {aligned, guide}: Pick<PayloadOf<"answer">, "aligned" | "guide">
    ): Promise<OpenSide> {
        const asked = shape as {contextSize: number};
        if (aligned === undefined) {
            const spec = guide && (await renameFiles(guide, (sha256) => this.#tools.files.path(sha256)));
            const context =
                spec === undefined
                    ? await newContext(model, asked)
                    : (await createAlignedContext(model, {...asked, guides: [guideOf(spec)]})).context;
            return {context, close: () => context.dispose()};
        }
        const agents: Required<WeightedAgent>[] = [];
        const closeAgents = () => {
            for (const {agent} of agents) agent.dispose();
        };
        try {
            for (const {agent: hash, dtype, ...others} of aligned.agents)
                agents.push({agent: await MaraAgent.load(await this.#agentBytes(hash), {dtype}), ...others});
            const {context, aligner} = await createAlignedContext(model, {...asked, ...aligned, agents});
            const close = async () => {
                await context.dispose();
                closeAgents();
            };
            return {context, aligner, trace: {order: aligned.order}, close};
        } catch (error) {
            closeAgents();
            throw error;
        }
    }

    async #score({reward: spec, judgeQuestion, files, timeoutMs, retries, items}: PayloadOf<"score">) {
        const {llama, files: own} = this.#tools;
        const paths = new Map<string, string>();
        for (const [file, hash] of Object.entries(files))
            paths.set(file, await own.path(hash, own.has(hash, true) && !own.has(hash, false)));
        const findFile = (file: string) => {
            const path = paths.get(file);
            if (path !== undefined) return path;
            throw new MaraError("REWARD_LOAD", `The reward names ${file} without its hash.`);
        };
        const key = JSON.stringify([spec, judgeQuestion ?? null, files]);
        const reward = await this.#rewards.get(key, async () => {
            const options = {
                llama,
                ...this.#threads(undefined),
                ...(judgeQuestion === undefined ? {} : {judgeQuestion})
            };
            const opened = await openRewardWith(spec, options, findFile);
            return {value: opened, close: () => opened.dispose()};
        });
        const scored = items.map(async ({prompt, response}): Promise<ScoredResponse | {failure: string}> => {
            try {
                return await scoreGuarded(reward, prompt as never, response, {timeoutMs, retries});
            } catch (error) {
                if (error instanceof MaraError && error.code === "REWARD_FAILED") return {failure: error.message};
                throw error;
            }
        });
        return await Promise.all(scored);
    }

    async #openRollouts(hash: string, options: PayloadOf<"rollout">["options"]): Promise<Rollouts> {
        const model = await this.#model(hash);
        const asked = {...options, ...this.#threads(options.threads)};
        return await this.#rollouts.get(JSON.stringify([hash, asked]), async () => {
            const rollouts = await Rollouts.open(model, asked as {maxTokens: number});
            return {value: rollouts, close: () => rollouts.close()};
        });
    }

    async #model(hash: string): Promise<LlamaModel> {
        const path = await this.#tools.files.path(hash);
        return await this.#models.get(`${hash} ${path}`, async () => {
            const {model, close} = await openModelFile(path, this.#tools.llama);
            // Contexts of the model must not outlive it.
            const closeAll = async () => {
                await this.#rollouts.close();
                await this.#sides.close();
                await close();
            };
            return {value: model, close: closeAll};
        });
    }

    /** @throws MaraError AGENT_NOT_FOUND where Redis has lost it, which its coordinator mends; AGENT_FORMAT */
    async #agentBytes(hash: string): Promise<Uint8Array> {
        let bytes = this.#agents.get(hash);
        if (bytes === undefined) {
            const fetched = await this.#tools.fetchAgent(hash);
            if (fetched === null) throw new MaraError("AGENT_NOT_FOUND", `The agent ${hash} is not in Redis.`);
            if (fetched.length > maxBytes.agent || sha256(fetched) !== hash)
                throw new MaraError("AGENT_FORMAT", `What Redis has as the agent ${hash} has another hash.`);
            bytes = fetched;
        }
        this.#agents.delete(hash);
        this.#agents.set(hash, bytes);
        for (const old of [...this.#agents.keys()].slice(0, -maxJudging)) this.#agents.delete(old);
        return bytes;
    }

    #threads(asked: number | undefined): {threads?: number} {
        const threads = this.#tools.threads ?? asked;
        return threads === undefined ? {} : {threads};
    }

    async close(): Promise<void> {
        await Promise.all([this.#generating, this.#scoring]);
        for (const kept of [this.#rollouts, this.#sides, this.#rewards, this.#models]) await kept.close();
    }
}
