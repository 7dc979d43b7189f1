/**
 * A scikit-learn classifier of hidden states as judge. In Python, with states X and labels y (1: to be accepted):
 *
 *     model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
 *     scaler, logistic = model[0], model[1]
 *     json.dump({"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist(),
 *                "coef": logistic.coef_[0].tolist(), "intercept": float(logistic.intercept_[0])}, open("classifier.json", "w"))
 *
 * States to label: those that a judge is shown, or node-llama-cpp's embeddings of texts, which are the same kind of state.
 *
 *     node examples/classifier-judge.js model.gguf classifier.json "How do I reset the alarm?"
 */
import {readFileSync} from "node:fs";
import {fileURLToPath} from "node:url";
import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext} from "node-llama-mara";

/** @returns {import("node-llama-mara").JudgeFunction} */
export function classifierJudge({mean, scale, coef, intercept}) {
    return ({states, width, candidates}) => {
        if (coef.length !== width) throw new Error(`The classifier reads ${coef.length} numbers, a state has ${width}`);
        return Float32Array.from(candidates, (_, i) => {
            const state = states.subarray(i * width, (i + 1) * width);
            const logit = state.reduce((sum, x, j) => sum + (coef[j] * (x - mean[j])) / scale[j], intercept);
            return 1 / (1 + Math.exp(-logit));
        });
    };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const [, , modelPath, classifierPath, prompt] = process.argv;
    const judge = classifierJudge(JSON.parse(readFileSync(classifierPath, "utf8")));
    const llama = await getLlama();
    const model = await llama.loadModel({modelPath});
    const {context} = await createAlignedContext(model, {judge, contextSize: {max: 2048}});
    const session = new LlamaChatSession({contextSequence: context.getSequence()});
    await session.prompt(prompt, {maxTokens: 200, onTextChunk: (text) => process.stdout.write(text)});
    console.log();
    await llama.dispose();
}
