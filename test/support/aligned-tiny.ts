import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll} from "vitest";
import type {AlignedContextOptions, MaraAgent} from "../../lib/index.js";
import {agentFor, align} from "../align/harness.js";
import {loadTinyModel} from "./models.js";

/** The tiny model with an agent that changes its texts, for the tests of one file. */
export function alignedTiny() {
    let agent: MaraAgent;
    const tiny = {
        model: undefined as unknown as LlamaModel,
        /** A context that ends with the test. */
        aligned: (options: AlignedContextOptions = {}) => align(tiny.model, {agent, contextSize: 1024, ...options})
    };
    beforeAll(async () => {
        tiny.model = await loadTinyModel();
        agent = await agentFor(tiny.model, 5);
    });
    afterAll(() => tiny.model?.dispose());
    return tiny;
}
