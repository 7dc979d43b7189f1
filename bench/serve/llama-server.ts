/** llama.cpp's own server, whose binary `MARA_LLAMA_SERVER` names. */
import {type ChildProcessByStdio, spawn} from "node:child_process";
import {dirname} from "node:path";
import type {Readable} from "node:stream";
import {cpuSeconds, lastLines} from "../harness/process.js";

export interface LlamaServer {
    url: string;
    /** Milliseconds of processor time that it has taken, by tens. */
    processorTime(): number;
    stop(): void;
}

export interface LlamaServerOptions {
    parallel: number;
    /** Tokens of one sequence. */
    contextSize: number;
    threads: number;
    /** False keeps the model off any GPU. */
    gpu: boolean;
}

/** Resolves once the server listens. @throws Error with the reason if it does not */
export async function startLlamaServer(
    modelPath: string,
    {parallel, contextSize, threads, gpu}: LlamaServerOptions
): Promise<LlamaServer> {
    const binary = process.env.MARA_LLAMA_SERVER;
    if (!binary) throw new Error("MARA_LLAMA_SERVER names no binary");
    const numbers = {
        "--threads": threads,
        "--threads-batch": threads,
        "--parallel": parallel,
        "--ctx-size": parallel * contextSize,
        // Every round asks the same prompts, which it would otherwise find in a cache beside its sequences.
        "--cache-ram": 0,
        "--port": 0
    };
    const child = spawn(
        binary,
        [
            ...["--model", modelPath, "--host", "127.0.0.1", "--no-ui", ...(gpu ? [] : ["--device", "none"])],
            ...Object.entries(numbers).flatMap(([name, value]) => [name, String(value)])
        ],
        {
            // Its libraries lie beside it.
            env: {...process.env, LD_LIBRARY_PATH: dirname(binary)},
            stdio: ["ignore", "ignore", "pipe"]
        }
    );
    const stop = () => void child.kill("SIGKILL");
    process.once("exit", stop);
    try {
        return {
            url: await addressOf(child),
            processorTime: () => cpuSeconds(child) * 1000,
            stop: () => {
                process.off("exit", stop);
                stop();
            }
        };
    } catch (error) {
        stop();
        throw error;
    }
}

async function addressOf(child: ChildProcessByStdio<null, null, Readable>): Promise<string> {
    let said = "";
    child.stderr.setEncoding("utf8");
    return await new Promise<string>((resolve, reject) => {
        const fail = (reason: string) => {
            clearTimeout(timer);
            reject(new Error(`llama-server ${reason}${said && `: ${lastLines(said)}`}`));
        };
        const timer = setTimeout(() => fail("did not listen within a minute"), 60_000);
        child.once("error", ({message}) => fail(message));
        child.once("close", (code, signal) => fail(`ended with ${code ?? signal}`));
        child.stderr.on("data", (text) => {
            said = (said + text).slice(-4000);
            const address = /listening on (http:\/\/\S+)/.exec(said)?.[1];
            if (address === undefined) return;
            clearTimeout(timer);
            resolve(address);
        });
    });
}
