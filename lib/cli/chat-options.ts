import type {Aligner} from "../align/aligner.js";
import type {Combine} from "../align/steer/panel.js";
import type {AlignmentOptions} from "./alignment-options.js";
import type {PairOptions} from "./pair.js";
import type {Speaker} from "./speaker.js";

/** The options that `mara chat` was given. */
export interface ChatOptions extends Omit<PairOptions, "agent">, AlignmentOptions {
    agent?: string[];
    prompt?: string;
    system?: string;
    compare?: boolean;
    showDecisions?: boolean;
    weight?: number[];
    combine?: Combine;
    maxTokens: number;
    seed: number;
    contextSize: number;
    json?: boolean;
    trace?: string;
    guide?: string[];
}

/** Both sides of a chat; `raw` only where they are compared. */
export interface ChatSides {
    aligned: Speaker;
    raw: Speaker | undefined;
    aligner: Aligner;
}
