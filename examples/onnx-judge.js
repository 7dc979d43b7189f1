/**
 * An ONNX classifier of hidden states as judge, by onnxruntime-node (npm install onnxruntime-node). In Python, with states X and
 * labels y (1: to be accepted):
 *
 *     model = make_pipeline(StandardScaler(), MLPClassifier()).fit(X, y)
 *     onnx = skl2onnx.to_onnx(model, X[:1].astype(numpy.float32), options={"zipmap": False})
 *     open("classifier.onnx", "wb").write(onnx.SerializeToString())
 *
 * Any model will do that takes [candidates, width] numbers and gives, as its last output, for each candidate the probability of accepting,
 * or those of rejecting and accepting.
 *
 *     node examples/onnx-judge.js model.gguf classifier.onnx "How do I reset the alarm?"
 */
import {fileURLToPath} from "node:url";
import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext} from "node-llama-mara";

/** @returns {import("node-llama-mara").JudgeFunction} */
export function onnxJudge(session, Tensor) {
    const [input] = session.inputNames;
    const output = session.outputNames.at(-1);
    return async ({states, width, candidates}) => {
        const {length} = candidates;
        const results = await session.run({[input]: new Tensor("float32", states, [length, width])});
        const {data} = results[output];
        const columns = data.length / length;
        return Float32Array.from(candidates, (_, i) => data[(i + 1) * columns - 1]);
    };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const [, , modelPath, classifierPath, prompt] = process.argv;
    const {InferenceSession, Tensor} = await import("onnxruntime-node");
    const judge = onnxJudge(await InferenceSession.create(classifierPath, {intraOpNumThreads: 1}), Tensor);
    const llama = await getLlama();
    const model = await llama.loadModel({modelPath});
    const {context} = await createAlignedContext(model, {judge, contextSize: {max: 2048}});
    const session = new LlamaChatSession({contextSequence: context.getSequence()});
    await session.prompt(prompt, {maxTokens: 200, onTextChunk: (text) => process.stdout.write(text)});
    console.log();
    await llama.dispose();
}
