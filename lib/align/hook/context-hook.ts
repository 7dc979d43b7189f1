import type {Backend, BatchToken, DecodeOutcome} from "../backend/backend.js";
import type {Rider} from "../decide/decision.js";
import type {AddonContext, AddonSampler, DetailedSample} from "../node-llama-cpp/internals.js";
import {type Resident, restore} from "../wave/waves.js";
import {type Row, SamplingStep} from "./step.js";
import type {TokenChooser} from "./token-chooser.js";

/**
 * Takes the place of the methods of one `AddonContext`, node-llama-cpp's native boundary. Batches run on the backend; tokens
 * are chosen by the chooser; a token whose forward pass deciding has already run is recognised when node-llama-cpp asks for it,
 * and its decode is skipped. Until then its cell is invisible: whatever else is done to the sequence drops it first.
 */
export class ContextHook {
    readonly #context: AddonContext;
    readonly #backend: Backend;
    readonly #chooser: TokenChooser;
    readonly #residents = new Map<number, Resident>();
    /** Evaluated tokens whose cells are out of order (`Decision.predecessor`), the last of each sequence. */
    readonly #misplaced = new Map<number, Rider>();
    #batch: BatchToken[] = [];
    /** Places of the batch that node-llama-cpp leaves free. */
    #spare = 0;
    /** Tokens taken back to be decoded anew in this batch. */
    #predecessors: Rider[] = [];
    /** Rows of the batch under construction, with their index in it, and residents that stand in for a decode. */
    #rows: {row: Row; index: number}[] = [];
    #reused: {resident: Resident; row: Row}[] = [];
    #step: SamplingStep;
    #lateRow: Promise<unknown> = Promise.resolve();

    /** `context` gives the stock methods (`stockContext`). */
    constructor(context: AddonContext, backend: Backend, chooser: TokenChooser) {
        this.#context = context;
        this.#backend = backend;
        this.#chooser = chooser;
        this.#step = this.#newStep();
    }

    /** The replacements, by method name. */
    get methods(): Record<string, unknown> {
        const stock = this.#context as unknown as Record<string, (...args: unknown[]) => unknown>;
        /** A stock method that finds the sequence as node-llama-cpp left it. */
        const onSequence =
            (name: string, sequenceAt: number) =>
            (...args: unknown[]) => {
                this.#drop(args[sequenceAt] as number);
                return stock[name]?.(...args);
            };
        return {
            initBatch: (size: number) => this.#initBatch(size),
            addToBatch: (...args: Parameters<AddonContext["addToBatch"]>) => this.#addToBatch(...args),
            decodeBatch: () => this.#decodeBatch(),
            sampleToken: (row: number, sampler: AddonSampler, ...details: unknown[]) =>
                this.#sampleToken(row, sampler, details),
            removeTokenCellsFromSequence: onSequence("removeTokenCellsFromSequence", 0),
            shiftSequenceTokenCells: onSequence("shiftSequenceTokenCells", 0),
            disposeSequence: onSequence("disposeSequence", 0),
            saveSequenceStateToFile: onSequence("saveSequenceStateToFile", 1),
            loadSequenceStateFromFile: onSequence("loadSequenceStateFromFile", 1),
            restoreCheckpoint: onSequence("restoreCheckpoint", 2),
            copySequenceStateFromOtherSequence: (target: number, source: number) => {
                this.#drop(source);
                return onSequence("copySequenceStateFromOtherSequence", 0)(target, source);
            },
            setLoras: (...args: unknown[]) => {
                this.#keepResidents();
                for (const sequence of [...this.#residents.keys()]) this.#drop(sequence);
                return stock.setLoras?.(...args);
            },
            getSequenceKvCacheMaxPosition: (sequence: number) => {
                const position = this.#context.getSequenceKvCacheMaxPosition(sequence);
                this.#keepResidents();
                const hidden = this.#residents.get(sequence)?.position;
                return hidden === undefined ? position : Math.min(position, hidden - 1);
            },
            dispose: () => {
                this.#residents.clear();
                this.#backend.close();
                return this.#context.dispose();
            }
        };
    }

    #newStep(): SamplingStep {
        return new SamplingStep((decisions, riders) => {
            this.#dropOthers();
            return this.#chooser.settleTogether(decisions, riders);
        });
    }

    /** Leaves the sequence as node-llama-cpp knows it. */
    #drop(sequence: number): void {
        this.#keepResidents();
        this.#misplaced.delete(sequence);
        this.#dropResident(sequence);
    }

    /** A decode overwrites every row: tokens of sequences that do not take part would be sampled from another's logits. */
    #dropOthers(): void {
        for (const sequence of [...this.#residents.keys()]) this.#dropResident(sequence);
    }

    /** Forgets a resident token and takes its cell back. */
    #dropResident(sequence: number): void {
        const resident = this.#residents.get(sequence);
        if (resident === undefined) return;
        this.#residents.delete(sequence);
        this.#backend.takeBack(sequence, resident.position);
    }

    #initBatch(size: number): void {
        this.#batch = [];
        this.#spare = this.#backend.batchSize - size;
        this.#predecessors = [];
        this.#rows = [];
        this.#reused = [];
        this.#keepResidents();
        this.#step = this.#newStep();
    }

    /** Takes over the tokens that the last step left resident. Called between steps only. */
    #keepResidents(): void {
        for (const resident of this.#step.residents.splice(0)) {
            this.#residents.set(resident.sequence, resident);
            this.#misplaced.delete(resident.sequence);
        }
    }

    #addToBatch(sequence: number, first: number, tokens: Uint32Array, outputs: Uint32Array): Uint32Array {
        const resident = this.#residents.get(sequence);
        if (
            resident?.position === first &&
            resident.token === tokens[0] &&
            tokens.length === 1 &&
            outputs.length === 1
        ) {
            this.#residents.delete(sequence);
            const row = this.#newRow(resident);
            row.index = resident.row;
            row.misplaced = resident.misplaced === true;
            row.best = resident.best;
            if (row.misplaced) this.#misplaced.set(sequence, resident);
            this.#reused.push({resident, row});
            return Uint32Array.of(this.#step.rows.length - 1);
        }
        const predecessor = this.#misplaced.get(sequence);
        this.#drop(sequence);
        // What was queued when a sequence was disposed node-llama-cpp decodes nevertheless; the number's next holder must not find it.
        if (first === 0) this.#backend.takeBack(sequence, 0);
        if (predecessor?.position === first - 1 && this.#spare > 0) {
            this.#spare--;
            this.#predecessors.push(predecessor);
            this.#decodeAnew(predecessor, false);
        }
        const wanted = new Set(outputs);
        const top = outputs.length === 1 ? this.#chooser.topWanted(sequence) : 0;
        const ids: number[] = [];
        for (const [i, token] of tokens.entries()) {
            const entry = {sequence, position: first + i, token};
            this.#batch.push({...entry, output: wanted.has(i), ...(wanted.has(i) && {top})});
            if (!wanted.has(i)) continue;
            this.#rows.push({row: this.#newRow(entry), index: this.#batch.length - 1});
            ids.push(this.#step.rows.length - 1);
        }
        return Uint32Array.from(ids);
    }

    #newRow({sequence, position, token}: Rider): Row {
        const row: Row = {sequence, position: position + 1, token, index: undefined, misplaced: false};
        this.#step.rows.push(row);
        return row;
    }

    /** Adds a token that is in the cache to the batch, in place of what is there. */
    #decodeAnew({sequence, position, token, top = 0}: Rider, output: boolean): number {
        this.#backend.takeBack(sequence, position);
        return this.#batch.push({sequence, position, token, output, top}) - 1;
    }

    async #decodeBatch(): Promise<void> {
        if (this.#batch.length === 0) return;
        this.#dropOthers();
        // Residents that must sample are decoded anew in this batch.
        for (const {resident, row} of this.#reused) {
            this.#rows.push({row, index: this.#decodeAnew(resident, true)});
            row.misplaced = false;
            this.#misplaced.delete(resident.sequence);
        }
        const {decodeMs, tops} = await this.#decodeOrRestore();
        for (const {row, index} of this.#rows) {
            row.index = index;
            row.best = tops?.[index];
        }
        this.#chooser.countDecode(this.#batch, decodeMs);
    }

    /** Where the decode fails, the tokens before it must not be missing. */
    async #decodeOrRestore(): Promise<DecodeOutcome> {
        try {
            return await this.#backend.decode(this.#batch);
        } catch (error) {
            await restore(this.#backend, this.#predecessors);
            throw error;
        }
    }

    async #sampleToken(id: number, sampler: AddonSampler, details: unknown[]): Promise<number | DetailedSample> {
        const step = this.#step;
        const row = step.rows[id];
        if (row === undefined) throw new Error(`Row ${id} is not part of the current batch`);
        const read = <T>(use: (index: number) => Promise<T>) =>
            step.read(row, async () => {
                if (row.index !== undefined) return await use(row.index);
                // One late row after the other: each decode overwrites the last one's logits.
                const result = this.#lateRow.then(async () => await use(await this.#decodeAgain(row)));
                this.#lateRow = result.catch(() => {});
                return await result;
            });
        return await this.#chooser.sample({step, row, sampler, details, read});
    }

    /** For a row that was asked for only after a decision had overwritten it. Gives the row's new index. */
    async #decodeAgain({sequence, position, token}: Row): Promise<number> {
        this.#dropOthers();
        for (const resident of this.#step.residents.splice(0))
            this.#backend.takeBack(resident.sequence, resident.position);
        // Taking back a token takes back what follows it, so that is decoded again too.
        const following = this.#batch.filter((other) => other.sequence === sequence && other.position >= position);
        const tokens = [{sequence, position: position - 1, token, output: true}, ...following];
        this.#backend.takeBack(sequence, position - 1);
        const {decodeMs} = await this.#backend.decode(tokens);
        this.#chooser.countDecode(tokens, decodeMs);
        return 0;
    }
}
