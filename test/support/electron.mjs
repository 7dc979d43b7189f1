/** Plays Electron's part for examples/electron.mjs: a window that asks one question once it is loaded, prints what it is told, and closes. */
import {register} from "node:module";

const self = import.meta.url.replace(/\?.*$/, "");

export async function resolve(specifier, context, next) {
    return specifier === "electron" ? {url: `${self}?electron`, shortCircuit: true} : await next(specifier, context);
}

if (!import.meta.url.includes("?")) register(`${self}?hook`);

const handlers = new Map();
const listeners = new Map();

export const app = {
    isPackaged: false,
    whenReady: async () => {},
    on: (event, listener) => listeners.set(event, listener),
    quit: () => console.log(JSON.stringify({quit: true}))
};

export const ipcMain = {handle: (channel, handler) => handlers.set(channel, handler)};

export class BrowserWindow {
    async loadFile(file) {
        setImmediate(async () => {
            let streamed = "";
            const sender = {isDestroyed: () => false, send: (_channel, text) => (streamed += text)};
            const ask = (prompt) => handlers.get("answer")({sender}, prompt);
            const refusal = await ask(7).catch(({message}) => message);
            const answer = await ask(process.env.QUESTION);
            console.log(JSON.stringify({file, answer, streamed, refusal}));
            await listeners.get("window-all-closed")();
        });
    }
}
