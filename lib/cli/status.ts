/** `mara status`: who works at a queue, and at what. */
import {setTimeout as wait} from "node:timers/promises";
import {Command} from "commander";
import {plural} from "../plural.js";
import type {QueueStatus} from "../queue/status.js";
import {visible} from "../visible.js";
import {fittingTable, painter, terminal} from "./format.js";
import {LiveRegion, printJson, printJsonLine, printLines} from "./output.js";
import {queueOption} from "./queue-options.js";
import {duration} from "./train-view.js";
import {requireQueue} from "./worker.js";

const help = `
Rates are those of the last minute. --json prints one object, with --watch one a line: address, workers [{id, host, pid, version,
files, seconds, done, failed, tokens, minute {jobs, tokens}, busy}], queues [{name, label, version, files, modules, waiting, active, failed, workers, oldest}].

Examples:
  $ mara status --queue redis://10.0.0.5:6379
  $ mara status --watch                            with MARA_QUEUE set`;

export function statusCommand(): Command {
    return new Command("status")
        .description("Show the workers and jobs of a queue")
        .addOption(queueOption("the queue's Redis"))
        .option("--watch", "look again every two seconds, until Ctrl-C")
        .option("--json", "print one JSON object; with --watch one a line")
        .addHelpText("after", help)
        .action(status);
}

const watchEvery = 2000;

async function status({queue, watch, json}: {queue?: string; watch?: boolean; json?: boolean}): Promise<void> {
    const {StatusReader} = await import("../queue/status.js");
    const reader = await StatusReader.open(requireQueue(queue));
    let stop = () => {};
    const stopped = new Promise<undefined>((resolve) => {
        stop = () => resolve(undefined);
    });
    process.on("SIGINT", stop).on("SIGTERM", stop);
    const region = new LiveRegion();
    try {
        do {
            // Redis may be gone for long, and Ctrl-C must end that, too.
            const found = await Promise.race([reader.read(), stopped]);
            if (found === undefined) return;
            if (json) (watch ? printJsonLine : printJson)(found);
            else if (watch) region.draw(draw(found));
            else printLines(draw(found));
        } while (watch && (await Promise.race([wait(watchEvery, true, {ref: false}), stopped])));
    } finally {
        process.off("SIGINT", stop).off("SIGTERM", stop);
        reader.close();
    }
}

function draw({address, workers, queues}: QueueStatus): string[] {
    const {color, width} = terminal();
    const paint = painter(color);
    const numbers = (count: number) => Array<"right">(count).fill("right");
    const jobs = workers.reduce((sum, {minute}) => sum + minute.jobs, 0);
    const tokens = workers.reduce((sum, {minute}) => sum + minute.tokens, 0);
    const lines = [
        `${address}: ${plural(workers.length, "worker")}, ${plural(jobs, "job")} and ${plural(tokens, "token")} in the last minute`
    ];
    const cut = (text: string) => visible(text).slice(0, Math.max(20, width - 60));
    if (workers.length > 0)
        lines.push(
            "",
            ...fittingTable(
                ["worker", "version", "files", "jobs", "failed", "tokens/min", "at work on"],
                workers.map(({host, pid, version, files, done, failed, minute, busy}) => [
                    visible(`${host} ${pid}`),
                    visible(version),
                    String(files.length),
                    String(done),
                    String(failed),
                    String(minute.tokens),
                    visible(busy.join(", ") || "nothing")
                ]),
                ["left", "left", ...numbers(4), "left"],
                {paint, width}
            )
        );
    if (queues.length > 0)
        lines.push(
            "",
            ...fittingTable(
                ["jobs for", "waiting", "active", "failed", "workers", "oldest"],
                queues.map(({label, waiting, active, failed, workers: serving, oldest}) => [
                    cut(label),
                    String(waiting),
                    String(active),
                    String(failed),
                    String(serving),
                    oldest === null ? "–" : duration(oldest)
                ]),
                ["left", ...numbers(5)],
                {paint, width}
            )
        );
    return lines;
}
