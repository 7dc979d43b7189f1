import {defineConfig} from "vitest/config";

/** Another release's entry file, set by compat/main.ts. */
const other = process.env.MARA_NODE_LLAMA_CPP;

export default defineConfig({
    ...(other !== undefined && {resolve: {alias: {"node-llama-cpp": other}}}),
    test: {
        include: ["test/**/*.test.ts"],
        globalSetup: ["test/support/skipped.ts"],
        // Each file loads llama.cpp natively; forks keep a crash in one file from hiding the others.
        pool: "forks",
        // Decodes use every core: files in parallel would only fight for them.
        fileParallelism: false,
        testTimeout: 120_000,
        hookTimeout: 120_000
    }
});
