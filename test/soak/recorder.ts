/** What the native contexts with lanes are asked for: with it, the order of every cache's cells can be followed after the fact. */
import {writeFileSync} from "node:fs";
import {join} from "node:path";
import {type NativeLaneContext, native} from "../../lib/native.js";

type Method = keyof NativeLaneContext;
/** Milliseconds since the process began, the method, and its arguments. */
type Call = [ms: number, method: Method, ...args: unknown[]];

/** Those that change what the cache holds, or what is in it. */
const methods = ["decode", "wave", "remove", "adopt", "release", "share", "shift", "prepareState", "loaded"] as const;

/** Calls of one context, first to last. */
export interface Recording {
    readonly calls: Call[];
}

let recording: Recording | undefined;

/** Records what contexts that are created from now on are asked for, each as long as no later one is created. */
export function recordLanes(): void {
    const addon = native();
    const Base = addon.LaneContext as unknown as new (...args: unknown[]) => NativeLaneContext;
    class Recorded extends Base {
        readonly recording: Recording = {calls: []};

        constructor(...args: unknown[]) {
            super(...args);
            recording = this.recording;
        }
    }
    for (const method of methods) {
        const run = Base.prototype[method] as (...args: unknown[]) => unknown;
        const value = function (this: Recorded, ...args: unknown[]) {
            // The judges of a wave say nothing about cells.
            const told = method === "wave" ? args.slice(0, 1) : args;
            this.recording.calls.push([Math.round(performance.now()), method, ...told]);
            return run.apply(this, args);
        };
        // The methods of a native class cannot be assigned to.
        Object.defineProperty(Recorded.prototype, method, {value});
    }
    Object.assign(addon, {LaneContext: Recorded});
}

/** The calls of the context that was created last. */
export function lastRecording(): Recording {
    return recording ?? {calls: []};
}

/** Writes a finding where it can be looked at after the run; gives the file's path. */
export function writeFinding(folder: string, name: string, finding: object): string {
    const path = join(folder, `${name}.json`);
    writeFileSync(
        path,
        JSON.stringify(finding, (_, value) => (ArrayBuffer.isView(value) ? [...(value as Int32Array)] : value))
    );
    return path;
}
