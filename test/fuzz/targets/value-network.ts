/** Files of value networks: each is refused by its code, or gives values. */
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {loadValueNetwork, saveValueNetwork, type ValueNetwork} from "../../../lib/agent/value-network.js";
import {MaraError} from "../../../lib/errors.js";
import {goldenPath} from "../../agent/helpers.js";
import {randomStudent} from "../../support/students.js";
import {askNetwork} from "../ask-network.js";
import type {FuzzTarget} from "../target.js";
import {mutateSafetensors} from "./agent-safetensors.js";

const width = 4;
const folder = mkdtempSync(join(tmpdir(), "mara-fuzz-value-"));
process.once("exit", () => rmSync(folder, {recursive: true, force: true}));
const file = join(folder, "network.safetensors");

export const target: FuzzTarget = {
    name: "value-network",
    async seeds() {
        // Of the model only its width and its file's hash are looked at.
        const model = {embeddingVectorSize: width, _modelPath: goldenPath("half.pth")} as unknown as LlamaModel;
        const {model: hash, tensors} = randomStudent(model, 1);
        const {calibration: _, ...own} = tensors;
        const training = {demonstrations: 1, tokens: 1, epochs: 1, seed: 1};
        const heldOut = {tokens: 1, raw: 2, guided: 1};
        await saveValueNetwork(file, {model: hash, width, candidates: 8, training, heldOut, tensors: own});
        return [readFileSync(file)];
    },
    async run(input) {
        writeFileSync(file, input);
        let network: ValueNetwork;
        try {
            network = await loadValueNetwork(file);
        } catch (error) {
            if (!(error instanceof MaraError) || error.code !== "VALUE_NETWORK") throw error;
            if (error.message.length > 2000) throw new Error(`A message of ${error.message.length} characters`);
            return `${error.code}: ${error.message.replaceAll(file, "FILE")}`;
        }
        askNetwork(network, network.width);
        return "loaded";
    },
    mutate: mutateSafetensors
};
