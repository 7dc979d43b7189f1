/** Which agent decides about a request, and with which settings. */
import {type CandidateOptions, maxTopK} from "../align/candidate-options.js";
import {type AlignerSettings, resolveSettings, settingsInForce, type WeightedAgent} from "../align/options.js";
import {ApiError, refused} from "./api-error.js";
import type {Engine} from "./engine.js";
import type {Sampling} from "./sampling.js";
import type {MaraExtension, NamedAgent} from "./schemas/mara.js";

/** The settings of a request's sequence, whole, so that nothing of the request before it is left. */
export type Alignment = Partial<AlignerSettings>;

/** @throws ApiError 404 for a model or an agent that is not served; 400 for settings that it cannot have */
export function alignmentOf(
    engine: Engine,
    {model, mara}: {model: string; mara?: MaraExtension | null | undefined},
    sampling: Sampling
): Alignment | undefined {
    const named = agentNameIn(engine, model);
    const agents = agentsOf(engine, named, mara ?? undefined);
    const {threshold, cascade, combine, enabled = true} = mara ?? {};
    if (agents.length === 0) {
        if (threshold !== undefined || cascade !== undefined || combine !== undefined || mara?.enabled === true)
            throw new ApiError(400, "mara: no agent is named, by mara.agent, mara.agents or as in NAME:agent", {
                param: "mara"
            });
        return undefined;
    }
    if (!enabled) return undefined;
    if (typeof cascade === "object" && agents.every(({agent}) => agent.student === undefined))
        throw refused("mara.cascade", "no agent of this answer has a student");
    const given = {agents, combine, threshold, cascade, seed: sampling.seed, candidates: candidatesOf(sampling)};
    const set = Object.entries(given).filter(([, value]) => value !== undefined);
    return settingsInForce(resolveSettings(Object.fromEntries(set))) as Alignment;
}

/** Who decides. @throws ApiError 400 if agents are named in several ways, 404 for one that is not served */
function agentsOf(engine: Engine, named: string | undefined, mara: MaraExtension | undefined): WeightedAgent[] {
    if (mara?.agents !== undefined && (named ?? mara.agent) !== undefined)
        throw new ApiError(400, "mara.agents: an agent is named otherwise already", {param: "mara.agents"});
    if (named !== undefined && mara?.agent !== undefined && mara.agent !== named)
        throw new ApiError(400, `mara.agent: the model's name asks for ${JSON.stringify(named)} already`, {
            param: "mara.agent"
        });
    const alone = mara?.agent ?? named;
    if (alone !== undefined) return [{agent: agentNamed(engine, alone, "mara.agent")}];
    return foundAgents(engine, mara?.agents ?? [], "mara.agents");
}

/** @throws ApiError 404 for one that is not served */
export function foundAgents(engine: Engine, given: readonly NamedAgent[], place: string): WeightedAgent[] {
    return given.map(({agent, weight, threshold}, i) => ({
        agent: agentNamed(engine, agent, `${place}[${i}].agent`),
        ...(weight === undefined ? {} : {weight}),
        ...(threshold === undefined ? {} : {threshold})
    }));
}

function agentNamed({agents}: Engine, name: string, param: string) {
    const agent = agents.get(name);
    if (agent !== undefined) return agent;
    const message = `${param}: there is no agent ${JSON.stringify(name.slice(0, 200))}`;
    throw new ApiError(404, message, {param, code: "agent_not_found"});
}

/** @throws ApiError 404 */
function agentNameIn(engine: Engine, model: string): string | undefined {
    if (model === engine.name) return undefined;
    const [base, agent] = [model.slice(0, engine.name.length), model.slice(engine.name.length + 1)];
    if (base === engine.name && model[engine.name.length] === ":" && engine.agents.has(agent)) return agent;
    throw new ApiError(
        404,
        `There is no model ${JSON.stringify(model.slice(0, 200))}. This server has: ${engine.modelNames.join(", ")}`,
        {
            param: "model",
            code: "model_not_found"
        }
    );
}

function candidatesOf({temperature, topK, topP, minP}: Sampling): CandidateOptions {
    if (topK !== undefined && !(topK >= 1 && topK <= maxTopK))
        throw refused("top_k", `beside an agent an integer from 1 to ${maxTopK}`);
    const given = {
        // Greedy is what an aligned sequence is anyway: its temperature changes the probabilities that are told, and no order.
        temperature: temperature === 0 ? undefined : temperature,
        topK,
        topP,
        minP
    };
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
