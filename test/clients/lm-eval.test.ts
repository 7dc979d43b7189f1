/** lm-evaluation-harness against the server: its log-likelihoods are the model's own, and its answers the server's. */
import {execFile} from "node:child_process";
import {mkdtemp, readdir, readFile, rm, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {promisify} from "node:util";
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {type Listening, listen} from "../../lib/server/listen.js";
import {hasDemo} from "../cli/helpers.js";
import {type Client, demoModel, demoServer, type Json} from "../server/helpers.js";
import {hasLmEval, lmEval} from "../support/clients.js";

const prompt = "The breakfast room is on the ground floor";

describe.skipIf(!hasDemo || !hasLmEval)("lm-evaluation-harness", () => {
    let client: Client;
    let listening: Listening;
    let folder: string;
    beforeAll(async () => {
        client = await demoServer({parallel: 4, contextSize: 1024});
        listening = await listen(client.server, {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false});
        folder = await mkdtemp(join(tmpdir(), "mara-lm-eval-"));
        const {text} = (await client.ok("/v1/completions", {model: "demo", temperature: 0, prompt, max_tokens: 200}))
            .choices[0];
        const rows = [
            {question: "The breakfast room is on the", choices: [" ground floor", " roof of the car", " étage 🦊"]},
            {question: "You can leave your car in the", choices: [" garage", " bathtub, if it fits"]},
            // Behind this one the answer ends at once.
            {question: prompt, choices: [text, " of a hotel"]}
        ];
        const task = (name: string, lines: string[]) => [
            `task: ${name}`,
            "dataset_path: json",
            `dataset_kwargs: {data_files: {test: ${join(folder, "rows.jsonl")}}}`,
            "test_split: test",
            'doc_to_text: "{{question}}"',
            ...lines
        ];
        await writeFile(join(folder, "rows.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
        const choice = ['doc_to_choice: "{{choices}}"', 'doc_to_target: "0"', 'target_delimiter: ""'];
        const chat = ['doc_to_target: ""', "generation_kwargs: {until: [zzz], max_gen_toks: 48, do_sample: false}"];
        const metric = (name: string) => [
            `metric_list: [{metric: ${name}, aggregation: mean, higher_is_better: true}]`,
            ""
        ];
        const choices = task("choices", ["output_type: multiple_choice", ...choice, ...metric("acc")]);
        const chats = task("chats", ["output_type: generate_until", ...chat, ...metric("exact_match")]);
        await writeFile(join(folder, "choices.yaml"), choices.join("\n"));
        await writeFile(join(folder, "chats.yaml"), chats.join("\n"));
    });
    afterAll(async () => {
        await listening.stop(0);
        await rm(folder, {recursive: true});
    });

    /** The samples that it writes of a task. */
    async function samples(task: string, kind: string, path: string, model: string, options: string[]) {
        const output = join(folder, `${task}-${model.replace(":", "-")}`);
        const where = `model=${model},base_url=${listening.url}${path},num_concurrent=2,max_length=1024`;
        await promisify(execFile)(
            lmEval,
            [
                ...["--model", kind, "--model_args", [where, ...options].join(), "--tasks", task],
                ...["--include_path", folder, "--output_path", output, "--log_samples"],
                ...(kind === "local-chat-completions" ? ["--apply_chat_template"] : [])
            ],
            {cwd: folder, maxBuffer: 2 ** 26, env: {...process.env, HF_HUB_OFFLINE: "1", HF_HOME: join(folder, "hf")}}
        );
        const files = await readdir(output, {recursive: true});
        const file = files.find((name) => name.includes("samples_")) as string;
        const lines = (await readFile(join(output, file), "utf8")).trim().split("\n");
        return lines.map((line) => JSON.parse(line) as Json);
    }

    it.each(["demo", "demo:house"])(
        "local-completions scores as the model itself does: %s",
        async (name) => {
            const model = await demoModel();
            const options = ["tokenizer_backend=remote"];
            const docs = await samples("choices", "local-completions", "/v1/completions", name, options);
            expect(docs).toHaveLength(3);
            for (const {arguments: given, resps} of docs)
                for (const [i, [[value, greedy]]] of resps.entries()) {
                    const {arg_0, arg_1} = given[`gen_args_${i}`];
                    const expected = await directly(model, arg_0, arg_1);
                    expect(Math.abs(Number(value) - expected.logLikelihood), arg_0 + arg_1).toBeLessThan(1e-3);
                    expect(greedy).toBe(expected.greedy ? "True" : "False");
                }
        },
        300_000
    );

    it.each(["demo", "demo:house"])(
        "local-chat-completions answers as the server does: %s",
        async (name) => {
            const docs = await samples("chats", "local-chat-completions", "/v1/chat/completions", name, []);
            for (const {doc, resps} of docs) {
                const messages = [{role: "user", content: doc.question}];
                const answer = await client.say({model: name, messages, temperature: 0, max_tokens: 48});
                expect(resps).toEqual([[answer]]);
            }
        },
        300_000
    );
});

/** By the logits of a plain context, in double precision. */
async function directly(model: LlamaModel, before: string, text: string) {
    const {bos, shouldPrependBosToken} = model.tokens;
    const head = shouldPrependBosToken && bos !== null ? [bos] : [];
    const tokens = [...head, ...model.tokenize(before + text, true)];
    const first = head.length + model.tokenize(before, true).length;
    const context = await model.createContext({contextSize: 256, threads: 1});
    try {
        const steps = tokens.slice(0, -1).map((token): [Token, object] => [token, {generateNext: {logits: true}}]);
        const output = await context.getSequence().controlledEvaluate(steps);
        let [logLikelihood, greedy] = [0, true];
        for (let at = first; at < tokens.length; at++) {
            const logits = output[at - 1]?.next?.logits as ReadonlyMap<Token, number>;
            const most = Math.max(...logits.values());
            const sum = [...logits.values()].reduce((total, logit) => total + Math.exp(logit - most), 0);
            const logit = logits.get(tokens[at] as Token) as number;
            logLikelihood += logit - most - Math.log(sum);
            greedy &&= logit === most;
        }
        return {logLikelihood, greedy};
    } finally {
        await context.dispose();
    }
}
