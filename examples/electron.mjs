// The main process of an Electron app: answers a window's questions. docs/electron.md says how the app is packed.
import path from "node:path";
import {app, BrowserWindow, ipcMain} from "electron";
import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";

// In a packed app, models lie outside the archive (electron-builder: extraResources).
const models = app.isPackaged ? path.join(process.resourcesPath, "models") : path.resolve("models");

await app.whenReady();
const llama = await getLlama();
const model = await llama.loadModel({modelPath: path.join(models, "model.gguf")});
const agent = await MaraAgent.load(path.join(models, "agent.safetensors"));
const {context} = await createAlignedContext(model, {agent, contextSize: 2048});
const session = new LlamaChatSession({contextSequence: context.getSequence()});

// The window's preload script exposes `ipcRenderer.invoke("answer", prompt)` and `ipcRenderer.on("text", …)`.
ipcMain.handle("answer", async ({sender}, prompt) => {
    if (typeof prompt !== "string") throw new TypeError("prompt must be a text");
    const onTextChunk = (text) => {
        if (!sender.isDestroyed()) sender.send("text", text);
    };
    return await session.prompt(prompt, {onTextChunk, maxTokens: 512});
});

const window = new BrowserWindow({webPreferences: {preload: path.resolve("preload.cjs")}});
await window.loadFile("index.html");
// llama.cpp ends with its decode before the process does.
app.on("window-all-closed", async () => {
    await llama.dispose();
    app.quit();
});
