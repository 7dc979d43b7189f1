import type {Server} from "./server.js";

export type {LogEntry, ServerOptions} from "./options.js";
export {createServer} from "./server.js";
export type {Server};
