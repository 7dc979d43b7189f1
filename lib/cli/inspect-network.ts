/** `mara inspect` of a value network. */
import {stat} from "node:fs/promises";
import {networkTensorNames} from "../agent/student.js";
import {loadValueNetwork} from "../agent/value-network.js";
import {fileHash} from "../file-hash.js";
import {formatInteger} from "../plural.js";
import {visible} from "../visible.js";
import {bytes, facts, painter, terminal} from "./format.js";
import {describeTensor, type InspectOptions, modelRow, readWidth, tensorLines} from "./inspect-parts.js";
import {printJson, printLines} from "./output.js";
import {resolveModel} from "./pair.js";

export async function inspectNetwork(path: string, options: InspectOptions): Promise<void> {
    const {tensors, width, ...valueNetwork} = await loadValueNetwork(path);
    const model = options.model === undefined ? undefined : await compare(options.model, width, valueNetwork.model);
    const all = networkTensorNames.map((name) => describeTensor(name, "f32", tensors[name]));
    const parameters = networkTensorNames.reduce((sum, name) => sum + tensors[name].data.length, 0);
    const {size: fileBytes} = await stat(path);
    if (options.json) {
        const file = {path, format: "safetensors", fileBytes, width, parameters, valueNetwork, tensors: all};
        printJson(model === undefined ? file : {...file, model});
        return;
    }
    const paint = painter(terminal().color);
    const {training, heldOut, candidates, model: hash} = valueNetwork;
    const made = model === undefined ? "" : model.trainedOn ? " (this one)" : paint("red", " (not this one)");
    const nats = (value: number) => value.toFixed(3);
    const rows: [string, string][] = [
        ["what", "a value network: a guide, which changes logits and judges nothing"],
        ["file", `safetensors, ${bytes(fileBytes)}, ${formatInteger(parameters)} parameters`],
        ["width", `${width}: fits models whose embedding size is ${width}`],
        ["changes", `the logits of the ${candidates} most probable tokens of a step`],
        ["trained on", `the model of SHA-256 ${hash.slice(0, 12)}…${made}`],
        [
            "learnt from",
            `${formatInteger(training.demonstrations)} demonstrations, ${formatInteger(training.tokens)} tokens, epoch ${training.epochs} kept`
        ],
        [
            "held out",
            `${nats(heldOut.raw)} nats per token by the model alone, ${nats(heldOut.guided)} with the network (${formatInteger(heldOut.tokens)} tokens)`
        ],
        ["used with", `mara chat --guide value:network=${visible(path)},weight=1`]
    ];
    if (model !== undefined) rows.push(modelRow(model, paint));
    printLines([paint("bold", visible(path)), ...facts(rows, paint), ...tensorLines(all, paint)]);
}

/** The model against the network's width and the hash of its own model; reads the whole file. */
async function compare(path: string, width: number, hash: string) {
    const own = await readWidth(path);
    const trainedOn = (await fileHash(await resolveModel(path), "MODEL_NOT_FOUND")) === hash;
    return {...own, fits: own.width === width, trainedOn};
}
