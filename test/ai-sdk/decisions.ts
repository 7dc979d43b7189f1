import type {DecisionRecord} from "../../lib/index.js";

// The AI SDK prints the warnings of a call.
(globalThis as {AI_SDK_LOG_WARNINGS?: boolean}).AI_SDK_LOG_WARNINGS = false;

/** The decisions that came with an answer. */
export function decisionsOf({providerMetadata: {mara} = {}}: {providerMetadata: Record<string, unknown> | undefined}) {
    const {decisions} = mara as {decisions: DecisionRecord[]};
    return decisions;
}
