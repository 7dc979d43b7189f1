import type {LlamaModel} from "node-llama-cpp";
import type {AgentTensor} from "../../agent/options.js";
import type {NetworkTensorName} from "../../agent/student.js";
import {MaraError, reasonOf} from "../../errors.js";
import {fileHash} from "../../file-hash.js";
import {type NativeStudent, native} from "../../native.js";
import {countEmbeddings, readEmbeddings} from "../node-llama-cpp/embeddings.js";
import {modelInternals} from "../node-llama-cpp/internals.js";

/** Embeddings that are read and projected together. */
const tokensAtOnce = 512;

const hashes = new WeakMap<LlamaModel, Promise<string>>();
const tables = new WeakMap<LlamaModel, WeakMap<Network, Promise<NativeStudent>>>();

/** A student, or a value network. */
export interface Network {
    readonly tensors: Readonly<Record<NetworkTensorName, AgentTensor>>;
}

/** SHA-256 of the model's file, in hexadecimal; read once per loaded model. @throws MaraError MODEL_NOT_FOUND */
export function hashOfModel(model: LlamaModel): Promise<string> {
    const path = modelInternals(model)._modelPath;
    return kept(hashes, model, () => fileHash(path, "MODEL_NOT_FOUND"));
}

/**
 * The network with the projected embeddings of the model's whole vocabulary, shared by all contexts of the model.
 * @throws MaraError MODEL_UNSUPPORTED, MODEL_NOT_FOUND, UNSUPPORTED_VERSION, AGENT_TENSORS if the model's embeddings go beyond what the
 * table holds
 */
export function studentTable(model: LlamaModel, network: Network): Promise<NativeStudent> {
    let ofModel = tables.get(model);
    if (ofModel === undefined) {
        ofModel = new WeakMap();
        tables.set(model, ofModel);
    }
    return kept(ofModel, network, () => projectVocabulary(model, network));
}

/** The network for states of this width, with room for the projected embeddings of `count` tokens. */
export function nativeNetwork({tensors}: Network, width: number, count: number): NativeStudent {
    const {Student} = native();
    return new Student(
        {
            width,
            normWeight: tensors["norm.weight"].data,
            normBias: tensors["norm.bias"].data,
            hiddenWeight: tensors["hidden.weight"].data,
            hiddenBias: tensors["hidden.bias"].data,
            embeddingWeight: tensors["embedding.weight"].data,
            embeddingBias: tensors["embedding.bias"].data,
            fc1Weight: tensors["fc1.weight"].data,
            fc1Bias: tensors["fc1.bias"].data,
            fc2Weight: tensors["fc2.weight"].data,
            fc2Bias: tensors["fc2.bias"].data
        },
        count
    );
}

async function projectVocabulary(model: LlamaModel, network: Network): Promise<NativeStudent> {
    const count = countEmbeddings(model);
    const table = nativeNetwork(network, model.embeddingVectorSize, count);
    for (let first = 0; first < count; first += tokensAtOnce) {
        const tokens = Array.from({length: Math.min(tokensAtOnce, count - first)}, (_, i) => first + i);
        await table.project(first, await readEmbeddings(model, tokens)).catch((error) => {
            throw new MaraError("AGENT_TENSORS", `This model's embeddings cannot be projected: ${reasonOf(error)}`);
        });
    }
    return table;
}

/** What `make` gave for the key. A failure is not kept, so that a later call tries again. */
function kept<Key extends WeakKey, T>(made: WeakMap<Key, Promise<T>>, key: Key, make: () => Promise<T>): Promise<T> {
    const known = made.get(key);
    if (known !== undefined) return known;
    const promise = make();
    made.set(key, promise);
    promise.catch(() => made.delete(key));
    return promise;
}
