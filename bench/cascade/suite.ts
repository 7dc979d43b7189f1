import {existsSync} from "node:fs";
import {basename} from "node:path";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import type {CascadeOption} from "../../lib/index.js";
import {type Contender, interleave} from "../harness/interleave.js";
import {nodeWorker, runProcess} from "../harness/process.js";
import {medianOf, type Spread, spreadOf} from "../harness/statistics.js";
import {atLeast, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";
import {benchFile} from "../harness/tools.js";
import type {AnswerResult, AnswerWork} from "./work.js";

export const cascadeSuite: Suite = {title: "Cascade: trained agents and their students, against plain generation", run};

interface RealAgent {
    name: string;
    modelPath: string;
    agentPath: string;
    promptsFile: string;
    prompts: number;
    /** Least tokens per second, relative to plain's, at each count of sequences. */
    wanted: number;
}

interface Kind {
    /** Undefined: plain. */
    cascade?: CascadeOption;
    /** With node-llama-cpp's `InputLookupTokenPredictor`. */
    predictor?: boolean;
}

const kinds: Record<string, Kind> = {
    plain: {},
    "plain, lookup": {predictor: true},
    "agent alone": {cascade: "off"},
    "agent alone, lookup": {cascade: "off", predictor: true},
    '"auto"': {cascade: "auto"},
    '"auto", lookup': {cascade: "auto", predictor: true},
    "agreement 0.98": {cascade: {agreement: 0.98}},
    "agreement 0.95": {cascade: {agreement: 0.95}},
    "agreement 0.9": {cascade: {agreement: 0.9}},
    "student alone": {cascade: {agreement: 0}}
};
const maxTokens = 48;

async function run({quick, threads, rounds, only, log}: BenchOptions): Promise<SuiteResult> {
    const result: SuiteResult = {
        tables: [],
        panels: [],
        columns: 3,
        targets: [],
        notes: [
            "Prompts are read within the time. CPU: tokens per second of the process's processor time, relative to plain's."
        ],
        skipped: {},
        data: {}
    };
    const data: Record<string, unknown> = {};
    for (const agent of findAgents(result.skipped, quick)) {
        const ratios = new Map<string, number>();
        for (const sequences of [1, 4, 8]) {
            const contenders = Object.entries(kinds)
                .filter(([name, {predictor}]) => only.test(name) && (!predictor || sequences === 1))
                .map(([name, kind]) => contenderOf(name, {...kind, agent, sequences, threads}));
            const {results, skipped} = await interleave(contenders, rounds, (line) =>
                log(`${agent.name}, ${sequences} seq.: ${line}`)
            );
            for (const [name, reason] of Object.entries(skipped)) result.skipped[`${agent.name}: ${name}`] = reason;
            const title = `${agent.name}, ${sequences} sequence${sequences === 1 ? "" : "s"} at once`;
            result.tables.push(tableOf(title, results));
            result.panels.push({
                title,
                unit: "tokens/s",
                bars: [...results].map(([label, rows]) => ({label, value: speedOf(rows), ours: label !== "plain"}))
            });
            const auto = results.get('"auto"');
            const plain = results.get("plain");
            if (auto !== undefined && plain !== undefined)
                ratios.set(`${sequences} seq.`, speedOf(auto).median / speedOf(plain).median);
            data[title] = Object.fromEntries(
                [...results].map(([name, rows]) => [name, rows.map(({texts: _, ...kept}) => kept)])
            );
        }
        result.targets.push(atLeast(`${agent.name}: "auto" against plain, tokens/s`, agent.wanted, ratios));
    }
    return {...result, data};
}

function contenderOf(
    name: string,
    given: Kind & {agent: RealAgent; sequences: number; threads: number}
): Contender<AnswerResult> {
    const {agent, cascade, predictor = false, sequences, threads} = given;
    const {modelPath, agentPath, promptsFile, prompts} = agent;
    const work: AnswerWork = {
        ...{modelPath, sequences, predictor, threads, maxTokens, promptsFile, prompts},
        ...(cascade === undefined ? {} : {agentPath, cascade})
    };
    // One pool thread keeps plain's decodes on one thread, which is its fastest form.
    const env = {UV_THREADPOOL_SIZE: "1"};
    return {
        name,
        measure: () => runProcess<AnswerResult>(nodeWorker("cascade/worker.ts", work, env), 3600),
        problem: ({tokens}) => (tokens === 0 ? "no tokens" : undefined)
    };
}

/** The demo's agent and the one that `npm run results -- train-fluent` leaves. */
function findAgents(skipped: Record<string, string>, quick: boolean): RealAgent[] {
    const agents: RealAgent[] = [
        {
            name: "demo",
            modelPath: demoModelPath,
            agentPath: demoAgentPath,
            promptsFile: benchFile("../demo/prompts/held-out.jsonl"),
            prompts: quick ? 16 : 80,
            wanted: 0.95
        }
    ];
    const modelPath = process.env.MARA_TEST_MODEL;
    const agentPath = process.env.MARA_BENCH_AGENT ?? benchFile("../docs/results/work/fluent/agent.safetensors");
    if (modelPath === undefined) skipped["the test model"] = "MARA_TEST_MODEL is not set";
    else if (!existsSync(agentPath))
        skipped[basename(modelPath)] =
            "npm run results -- train-fluent makes its agent; MARA_BENCH_AGENT names another";
    else
        agents.push({
            name: basename(modelPath, ".gguf"),
            modelPath,
            agentPath,
            promptsFile: benchFile("../docs/results/prompts/held-out.jsonl"),
            prompts: quick ? 8 : 32,
            wanted: 0.9
        });
    return agents;
}

function speedOf(rows: readonly AnswerResult[]): Spread {
    return spreadOf(rows.map(({tokens, seconds}) => tokens / seconds));
}

function tableOf(title: string, results: ReadonlyMap<string, readonly AnswerResult[]>) {
    const at = (name: string, pick: (row: AnswerResult) => number) => medianOf((results.get(name) ?? []).map(pick));
    const perCpu = (name: string) => at(name, ({tokens, cpuSeconds}) => tokens / cpuSeconds);
    const perWall = (name: string) => at(name, ({tokens, seconds}) => tokens / seconds);
    const own = results.get("agent alone")?.[0]?.texts ?? [];
    return {
        title,
        columns:
            "contender|tokens/s|to plain|CPU, to plain|decodes/token|decisions by the student|texts the agent's own".split(
                "|"
            ),
        rows: [...results].map(([name, rows]) => {
            const share = at(name, ({byStudent}) => byStudent ?? Number.NaN);
            const same = (rows[0]?.texts ?? []).filter((text, i) => text === own[i]).length;
            return [
                name,
                short(perWall(name)),
                short(perWall(name) / perWall("plain")),
                short(perCpu(name) / perCpu("plain")),
                short(at(name, ({decodesPerToken}) => decodesPerToken)),
                Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–",
                // `--only` may have left out the agent alone.
                name.startsWith("plain") || own.length === 0 ? "–" : `${same} of ${own.length}`
            ];
        })
    };
}
