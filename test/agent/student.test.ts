import {mkdtemp, readFile, rm, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {afterEach, beforeEach, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {readSafetensors, writeSafetensors} from "../../lib/agent/safetensors.js";
import type {AgentStudent} from "../../lib/agent/student.js";
import {failure, randomStates, smallTensors} from "./helpers.js";
import {madeUpStudent} from "./student-helpers.js";

let folder: string;
let path: string;
beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mara-student-"));
    path = join(folder, "agent.safetensors");
});
afterEach(() => rm(folder, {recursive: true}));

async function saved(): Promise<AgentStudent> {
    const student = madeUpStudent(8);
    using agent = MaraAgent.fromTensors(smallTensors(), {metadata: {origin: "test"}});
    agent.student = student;
    await agent.save(path, {dtype: "f16"});
    return student;
}

test("a student is kept bit for bit in the agent's file, which says nothing else than before", async () => {
    const student = await saved();
    using agent = await MaraAgent.load(path);
    expect(agent.student).toEqual(student);
    expect(agent.metadata).toEqual({origin: "test"});
    expect(agent.score(randomStates(3, 8))).toHaveLength(3);
    const again = join(folder, "again.safetensors");
    await agent.save(again);
    expect(await readFile(again)).toEqual(await readFile(path));
});

test("without a student the file is what it was before there were any", async () => {
    await saved();
    using agent = await MaraAgent.load(path);
    agent.student = undefined;
    await agent.save(path);
    const {tensors, metadata} = readSafetensors(await readFile(path));
    expect([...tensors.keys()].filter((name) => name.startsWith("student."))).toEqual([]);
    expect(metadata).toEqual({origin: "test"});
});

test("a student that is not whole is refused, with what is wrong", async () => {
    await saved();
    const {tensors, metadata} = readSafetensors(await readFile(path));
    const changed = async (change: () => void) => {
        const before = [new Map(tensors), {...metadata}] as const;
        change();
        await writeFile(path, writeSafetensors(tensors, metadata));
        const error = await failure(() => MaraAgent.load(path));
        tensors.clear();
        for (const [name, tensor] of before[0]) tensors.set(name, tensor);
        for (const name of Object.keys(metadata)) delete metadata[name];
        Object.assign(metadata, before[1]);
        return [error.code, error.message];
    };
    expect(await changed(() => tensors.delete("student.fc1.bias"))).toEqual([
        "AGENT_TENSORS",
        expect.stringContaining('it lacks "fc1.bias"')
    ]);
    expect(await changed(() => delete metadata["mara.student"])).toEqual([
        "AGENT_TENSORS",
        expect.stringContaining('the metadata "mara.student" is missing')
    ]);
    expect(await changed(() => Object.assign(metadata, {"mara.student": '{"version":2}'}))).toEqual([
        "AGENT_TENSORS",
        expect.stringContaining('"version"')
    ]);
    const norm = tensors.get("student.norm.weight");
    expect(await changed(() => tensors.set("student.fc2.weight", norm as NonNullable<typeof norm>))).toEqual([
        "AGENT_TENSORS",
        expect.stringContaining('"fc2.weight" has shape [8] but [2, 128]')
    ]);
});

test("a student of another width, or none at all, cannot be set", () => {
    using agent = MaraAgent.fromTensors(smallTensors());
    const set = (student: unknown) => () => {
        agent.student = student as AgentStudent;
    };
    expect(set(madeUpStudent(9))).toThrowError(expect.objectContaining({code: "AGENT_WIDTH"}));
    expect(set({model: "x"})).toThrowError(expect.objectContaining({code: "INVALID_ARGUMENT"}));
    const student = madeUpStudent(8);
    student.tensors.calibration.data[1] = 0;
    expect(set(student)).toThrowError(expect.objectContaining({code: "AGENT_TENSORS"}));
    expect(agent.student).toBeUndefined();
});
