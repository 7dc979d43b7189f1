export {MaraAgent, type MaraAgentOptions, type MaraAgentSaveOptions} from "./agent/agent.js";
export type {AgentDevice} from "./agent/device.js";
export type {AgentTensor} from "./agent/options.js";
export type {AgentStudent, StudentTensorName} from "./agent/student.js";
export type {HeldOutLoss} from "./agent/value-network.js";
export {createAlignedContext} from "./align/aligned-context.js";
export type {Aligner} from "./align/aligner.js";
export type {CandidateOptions} from "./align/candidate-options.js";
export type {AlignedContextOptions, Mode} from "./align/context-options.js";
export type {Decider} from "./align/decide/decision.js";
export type {DecidedCandidate, DecisionEvent, DecisionListener, DecisionRecord} from "./align/decide/record.js";
export type {AlignerStats, OpinionCounts} from "./align/decide/stats.js";
export {
    type ContrastOptions,
    contrast,
    type GuidanceOptions,
    guidance,
    type MappingOptions,
    type ValueModelOptions,
    type ValueNetworkOptions,
    valueModel
} from "./align/guides/guides.js";
export type {MappedShare} from "./align/guides/mapped.js";
export type {ModelGuide} from "./align/guides/model-guide.js";
export type {AlignerSettings, CascadeOption, Order, SettingsInForce, Strategy, WeightedAgent} from "./align/options.js";
export type {Guide, GuidedRow, GuidedText} from "./align/steer/guide.js";
export type {Judge, JudgeBatch, JudgeFunction} from "./align/steer/judge.js";
export type {Combine} from "./align/steer/panel.js";
export {MaraError, type MaraErrorCode, maraErrorCodes} from "./errors.js";
export {type Evaluation, evaluate} from "./evaluate/evaluate.js";
export type {EvaluateOptions, EvaluationProgress, EvaluationSampling, EvaluationSettings} from "./evaluate/options.js";
export type {DialPoint, Estimate, EvaluationResult, PairResult, SideResult} from "./evaluate/result.js";
export type {Side} from "./evaluate/sides.js";
export type {TradeOff} from "./evaluate/trade-off.js";
export {type Answer, type AnswerOptions, answerAll} from "./generation/answers.js";
export {promptTokens} from "./generation/prompt-tokens.js";
export {
    type Demonstration,
    loadPairs,
    loadPrompts,
    type PreferencePair,
    type Prompt,
    type PromptFormat
} from "./prompts/prompts.js";
export type {QueueOptions} from "./queue/options.js";
export {type GuardOptions, scoreGuarded} from "./rewards/guard.js";
export {openReward, type RewardOptions, type RewardSpec} from "./rewards/open.js";
export type {Reward, RewardFunction, RewardResult, RewardSpan, ScoredResponse} from "./rewards/reward.js";
export type {Interval} from "./statistics/intervals.js";
export type {Calibration, CalibrationPoint} from "./train/calibrate.js";
export type {TrainConfig, TrainOptions} from "./train/options.js";
export type {FitMetrics} from "./train/preference/preference.js";
export type {TrainSummary} from "./train/report/advice.js";
export type {GreedyCheck, HeldOutPairs, TrainPhase, TrainProgress} from "./train/run/progress.js";
export type {SacMetrics} from "./train/sac/batch.js";
export {type TrainStudentOptions, type TrainStudentResult, trainStudent} from "./train/student/train-student.js";
export {type TrainResult, trainAgent} from "./train/train.js";
export {type TrainValueOptions, type TrainValueResult, trainValue} from "./train/value/train-value.js";
