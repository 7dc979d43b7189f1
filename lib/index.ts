export {MaraAgent, type MaraAgentOptions, type MaraAgentSaveOptions} from "./agent/agent.js";
export {createAlignedContext} from "./align/aligned-context.js";
export type {Aligner, DecidedCandidate, DecisionEvent, DecisionListener} from "./align/aligner.js";
export type {
    AlignedContextOptions,
    AlignerSettings,
    CandidateOptions,
    Mode,
    Order,
    Strategy
} from "./align/options.js";
export type {AlignerStats} from "./align/stats.js";
export {MaraError, type MaraErrorCode, maraErrorCodes} from "./errors.js";
