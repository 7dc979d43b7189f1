import type {Aligner} from "../align/aligner.js";
import type {Mode, Order, Strategy} from "../align/options.js";
import type {PairOptions} from "./pair.js";
import type {Speaker} from "./speaker.js";

/** What `mara chat` was asked for. */
export interface ChatOptions extends PairOptions {
    prompt?: string;
    system?: string;
    compare?: boolean;
    showDecisions?: boolean;
    threshold: number;
    maxTokens: number;
    seed: number;
    mode: "auto" | Mode;
    strategy: Strategy;
    order: Order;
    topK: number;
    topP: number;
    contextSize: number;
    json?: boolean;
    trace?: string;
}

/** Both sides of a chat; `raw` only where they are compared. */
export interface Sides {
    aligned: Speaker;
    raw: Speaker | undefined;
    aligner: Aligner;
}
