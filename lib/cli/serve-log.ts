/** The server's log as lines on stderr. */
import pino from "pino";
import type {LogEntry} from "../server/options.js";
import {visible} from "../visible.js";

export type LogFormat = "pretty" | "json" | "off";

export function serverLog(format: LogFormat): (entry: LogEntry) => void {
    const target = format === "pretty" ? {write: (line: string) => void process.stderr.write(pretty(line))} : undefined;
    const options = {base: null, enabled: format !== "off", timestamp: pino.stdTimeFunctions.isoTime};
    const logger = pino(
        {...options, formatters: {level: (level) => ({level})}},
        target ?? pino.destination({fd: 2, sync: true})
    );
    return ({level, message, ...fields}) => logger[level](fields, message);
}

/** One line for people: the time, and what a request was. Other fields follow as JSON. */
function pretty(line: string): string {
    const {level, time, msg, method, path, status, seconds, error, ...others} = JSON.parse(line) as Record<
        string,
        unknown
    >;
    const at = String(time).slice(11, 19);
    const what =
        msg === "request"
            ? `${method} ${path} ${status} ${(1000 * Number(seconds)).toFixed(0)} ms`
            : `${level}: ${msg}`;
    const more = Object.keys(others).length === 0 ? "" : ` ${JSON.stringify(others)}`;
    const stack = error === undefined ? "" : `\n${visible(String(error), {lines: true})}`;
    return `${at} ${visible(what + more)}${stack}\n`;
}
