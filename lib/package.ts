import {readFileSync} from "node:fs";
import {fileURLToPath} from "node:url";

/** The folder of package.json, from lib as from dist. */
export const packageRoot = fileURLToPath(new URL("..", import.meta.url));

export function packageVersion(): string {
    return (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {version: string}).version;
}
