import {mkdirSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {type AgentTensor, MaraAgent} from "../../lib/agent/agent.js";
import {createAlignedContext} from "../../lib/index.js";
import {randomTensors} from "../../test/support/agents.js";
import {quantile} from "../harness/statistics.js";
import {generateAll, loadModel} from "./model.js";
import {type CalibrateWork, prompts} from "./work.js";

/** This bias is beyond any margin, so everything is accepted. */
const certain = 100;
const attempts = 4;

/**
 * Random networks of the published size. Their output bias is set so that, of the top candidates met while generating, the wanted
 * share is accepted. Rejections change which candidates are met, so that is repeated, and the attempt nearest to the rate is kept.
 */
export async function calibrate({modelPath, rates, folder, tokens, contextSize, threads}: CalibrateWork) {
    const model = await loadModel(modelPath);
    const tensors = randomTensors(model.embeddingVectorSize, 3, {hidden: [1024, 256], spread: 2.5});
    const observe = (bias: number, threshold = 0.5) =>
        observeMargins(model, withBias(tensors, bias), bias, {tokens, contextSize, threads, threshold});
    mkdirSync(folder, {recursive: true});
    const achieved: Record<number, number> = {};
    const unaligned = await observe(0, 0);
    for (const rate of rates) {
        let best = {bias: certain, rate: 1};
        let bias = rate === 1 ? certain : -quantile(unaligned.margins, 1 - rate);
        for (let attempt = 0; rate < 1 && attempt < attempts; attempt++) {
            const seen = await observe(bias);
            if (Math.abs(seen.rate - rate) < Math.abs(best.rate - rate)) best = {bias, rate: seen.rate};
            if (Math.abs(seen.rate - rate) < 0.02) break;
            // The bias goes half of the way only, because the text that the next bias meets is another one.
            bias = (bias - quantile(seen.margins, 1 - rate)) / 2;
        }
        achieved[rate] = best.rate;
        await withBias(tensors, best.bias).save(join(folder, `${rate}.safetensors`));
    }
    return achieved;
}

function withBias(tensors: Record<string, AgentTensor>, bias: number): MaraAgent {
    const [reject = 0, accept = 0] = tensors["output_linear.bias"]?.data ?? [];
    const data = Float32Array.of(reject - bias / 2, accept + bias / 2);
    return MaraAgent.fromTensors({...tensors, "output_linear.bias": {shape: [2], data}}, {threads: 1});
}

/** Logits of acceptance of the top candidates, less the bias, and the share of them that was accepted. */
async function observeMargins(
    model: LlamaModel,
    agent: MaraAgent,
    bias: number,
    {tokens, ...options}: {tokens: number; contextSize: number; threads: number; threshold: number}
): Promise<{margins: number[]; rate: number}> {
    const {context, aligner} = await createAlignedContext(model, {...options, agent, sequences: prompts.length});
    const accepted: number[] = [];
    aligner.onDecision(({candidates}) => {
        const probability = candidates[0]?.acceptProbability;
        if (probability != null) accepted.push(Math.min(Math.max(probability, 1e-7), 1 - 1e-7));
    });
    await generateAll(
        Array.from(prompts, () => context.getSequence()),
        tokens
    );
    await context.dispose();
    const margins = accepted.map((probability) => Math.log(probability / (1 - probability)) - bias);
    return {margins, rate: accepted.filter((probability) => probability > 0.5).length / accepted.length};
}
