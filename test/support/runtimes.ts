/** Other runtimes than Node: those that npm's packages `bun` and `deno` bring, by MARA_BUN and MARA_DENO, or on the PATH. */
import {spawnSync} from "node:child_process";

export const bunPath = find(process.env.MARA_BUN, "bun");
export const denoPath = find(process.env.MARA_DENO, "deno");

function find(...programs: (string | undefined)[]): string | undefined {
    return programs.find((program) => program && spawnSync(program, ["--version"], {stdio: "ignore"}).status === 0);
}
