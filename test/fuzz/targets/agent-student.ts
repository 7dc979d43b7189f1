/** Agents' files with a student in them: it is refused with the agent, or its network gives verdicts. */
import type {LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../../../lib/agent/agent.js";
import {namedTensors} from "../../../lib/agent/options.js";
import {writeSafetensors} from "../../../lib/agent/safetensors.js";
import {studentEntries} from "../../../lib/agent/student.js";
import {goldenPath, smallTensors} from "../../agent/helpers.js";
import {randomStudent} from "../../support/students.js";
import {askNetwork} from "../ask-network.js";
import {loadAgent} from "../load-agent.js";
import type {FuzzTarget} from "../target.js";
import {mutateSafetensors} from "./agent-safetensors.js";

export const target: FuzzTarget = {
    name: "agent-student",
    seeds() {
        const agent = namedTensors(smallTensors());
        const [width = 0] = agent.get("ln.weight")?.shape ?? [];
        // Of the model only its width and its file's hash are looked at.
        const model = {embeddingVectorSize: width, _modelPath: goldenPath("half.pth")} as unknown as LlamaModel;
        const {tensors, metadata} = studentEntries(randomStudent(model, 1));
        return [writeSafetensors(new Map([...agent, ...tensors]), metadata)];
    },
    async run(input) {
        const outcome = await loadAgent(input);
        if (outcome !== "loaded") return outcome;
        const agent = await MaraAgent.load(input, {threads: 1});
        const {student, width} = agent;
        agent.dispose();
        if (student === undefined) return "loaded without a student";
        askNetwork(student, width);
        return "loaded";
    },
    mutate: mutateSafetensors
};
