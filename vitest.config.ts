import {defineConfig} from "vitest/config";

export default defineConfig({
    test: {
        include: ["test/**/*.test.ts"],
        // Each file loads llama.cpp natively; forks keep a crash in one file from hiding the others.
        pool: "forks",
        // Decodes use every core: files in parallel would only fight for them.
        fileParallelism: false,
        testTimeout: 120_000,
        hookTimeout: 120_000
    }
});
