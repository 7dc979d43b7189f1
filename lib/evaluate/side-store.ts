/** The work done for one side: answers in blocks, scores, perplexities. It is one file of JSON lines, added to as they come. */
import {appendFile, mkdir, readFile, truncate} from "node:fs/promises";
import {dirname} from "node:path";
import {isDeepStrictEqual} from "node:util";
import {z} from "zod";
import type {AlignerStats} from "../align/decide/stats.js";
import {MaraError} from "../errors.js";
import type {TokenView} from "../report/token-view.js";
import {seal, unseal} from "../sealed.js";

const answerSchema = z.object({
    text: z.string(),
    tokens: z.array(z.int()),
    ended: z.enum(["eog", "length"]),
    /** Present in aligned answers. */
    trace: z.array(z.custom<TokenView>((value) => typeof value === "object" && value !== null)).optional()
});
export type StoredAnswer = z.infer<typeof answerSchema>;

/** The counters of an aligner, without times. */
export type Counts = Omit<AlignerStats, "time">;

/** Answers that were given together. */
export const storedBlockSchema = z.object({
    /** Index of the first. */
    first: z.int().nonnegative(),
    answers: z.array(answerSchema),
    generatedTokens: z.number(),
    decodes: z.number(),
    seconds: z.number(),
    counts: z.custom<Counts>((value) => typeof value === "object" && value !== null).optional()
});
export type StoredBlock = z.infer<typeof storedBlockSchema>;

/** Null where the reward failed. */
const scoreSchema = z.number().nullable();
export type Score = z.infer<typeof scoreSchema>;

/** How probable an answer is under the base model. */
export interface Fluency {
    /** Minus the logarithm of its probability. */
    nats: number;
    tokens: number;
}

const lineSchema = z.union(
    [
        z.object({block: storedBlockSchema}),
        z.object({reward: z.string(), index: z.int().nonnegative(), score: scoreSchema}),
        z.object({fluency: z.int().nonnegative(), nats: z.number(), tokens: z.number()})
    ],
    "neither answers, nor a score, nor a fluency"
);
type Line = z.infer<typeof lineSchema>;

export class SideStore {
    readonly blocks = new Map<number, StoredBlock>();
    readonly fluency = new Map<number, Fluency>();
    readonly #scores = new Map<string, Map<number, Score>>();
    readonly #path: string | undefined;

    private constructor(path: string | undefined) {
        this.#path = path;
    }

    /**
     * `identity` is all that the answers depend on. Without a path nothing is saved.
     * @throws MaraError RUN_CHANGED if the file was begun with another identity, RUN_DAMAGED naming the line that is not as it was
     * written, WRITE_FAILED
     */
    static async open(path: string | undefined, identity: object): Promise<SideStore> {
        const store = new SideStore(path);
        if (path === undefined) return store;
        const header: unknown = JSON.parse(JSON.stringify({version: 2, ...identity}));
        const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
            if (error.code === "ENOENT") return Buffer.alloc(0);
            throw damaged(path, (error.message.split(", ") as [string])[0], error);
        });
        // A line that was being written when the process ended has no end, and its work is done again.
        const whole = bytes.lastIndexOf(10) + 1;
        if (whole < bytes.length) await truncate(path, whole);
        const [first, ...lines] = bytes.toString("utf8", 0, whole).split("\n").slice(0, -1);
        if (first === undefined) {
            await store.#append(header as object);
            return store;
        }
        requireSame(path, readLine(path, 1, first, z.looseObject({})), header);
        for (const [i, line] of lines.entries()) store.#take(readLine(path, i + 2, line, lineSchema));
        return store;
    }

    /** In order of the prompts; without those of blocks that are missing. */
    get answers(): StoredAnswer[] {
        return [...this.blocks.values()].sort((a, b) => a.first - b.first).flatMap(({answers}) => answers);
    }

    scores(reward: string): Map<number, Score> {
        let scores = this.#scores.get(reward);
        if (scores === undefined) {
            scores = new Map();
            this.#scores.set(reward, scores);
        }
        return scores;
    }

    async addBlock(block: StoredBlock): Promise<void> {
        await this.#add({block});
    }

    async addScore(reward: string, index: number, score: Score): Promise<void> {
        await this.#add({reward, index, score});
    }

    async addFluency(index: number, fluency: Fluency): Promise<void> {
        await this.#add({fluency: index, ...fluency});
    }

    async #add(line: Line): Promise<void> {
        await this.#append(line);
        this.#take(line);
    }

    #take(line: Line): void {
        if ("block" in line) this.blocks.set(line.block.first, line.block);
        else if ("reward" in line) this.scores(line.reward).set(line.index, line.score);
        else this.fluency.set(line.fluency, {nats: line.nats, tokens: line.tokens});
    }

    async #append(value: object): Promise<void> {
        const path = this.#path;
        if (path === undefined) return;
        try {
            await mkdir(dirname(path), {recursive: true});
            await appendFile(path, `${seal(value)}\n`);
        } catch (error) {
            const reason = (error as Error).message.split(", ")[0];
            throw new MaraError("WRITE_FAILED", `Could not write ${path}: ${reason}`, {cause: error});
        }
    }
}

function readLine<T>(path: string, number: number, line: string, schema: z.ZodType<T>): T {
    try {
        return unseal(line, schema);
    } catch (error) {
        throw damaged(path, `line ${number} ${(error as Error).message}`, error);
    }
}

function damaged(path: string, what: string, cause: unknown): MaraError {
    const message = `The answers in ${path} cannot be used: ${what}. Remove the file to have them made again.`;
    return new MaraError("RUN_DAMAGED", message, {cause});
}

function requireSame(path: string, saved: unknown, given: unknown): void {
    const [before, now] = [saved, given] as Record<string, unknown>[];
    for (const key of new Set([...Object.keys(before ?? {}), ...Object.keys(now ?? {})])) {
        if (isDeepStrictEqual(before?.[key], now?.[key])) continue;
        const shown = [before?.[key], now?.[key]].map((value) => shortened(JSON.stringify(value) ?? "nothing"));
        throw new MaraError(
            "RUN_CHANGED",
            `The answers in ${path} were made with ${key} ${shown[0]}, not ${shown[1]}. Give these options again, or another directory.`
        );
    }
}

function shortened(text: string): string {
    return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
