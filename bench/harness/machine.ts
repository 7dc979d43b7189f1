import {cpus, loadavg, release, totalmem, type} from "node:os";

export interface Machine {
    cpu: string;
    cores: number;
    memoryGb: number;
    system: string;
    node: string;
    date: string;
    /** Load average of the last minute when the run began. */
    load: number;
}

export function describeMachine(): Machine {
    const [first] = cpus();
    return {
        cpu: first?.model ?? "unknown",
        cores: cpus().length,
        memoryGb: Math.round(totalmem() / 2 ** 30),
        system: `${type()} ${release()}`,
        node: process.version,
        date: new Date().toISOString().slice(0, 16).replace("T", " "),
        load: Number((loadavg()[0] as number).toFixed(2))
    };
}

export function machineLine({cpu, cores, memoryGb, system, node, date, load}: Machine): string {
    return `${date} UTC · ${cpu}, ${cores} cores, ${memoryGb} GB · ${system} · Node ${node} · load ${load} at the start`;
}
