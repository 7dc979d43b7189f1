/** schemathesis makes requests of /openapi.json, right ones and wrong ones, and holds the answers against it. */
import {execFile} from "node:child_process";
import {mkdtemp, rm} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {promisify} from "node:util";
import {describe, expect, it, onTestFinished} from "vitest";
import {listen} from "../../lib/server/listen.js";
import {hasDemo} from "../cli/helpers.js";
import {demoServer} from "../server/helpers.js";
import {hasSchemathesis, schemathesis} from "../support/clients.js";

const checks = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance"
];

describe.skipIf(!hasDemo || !hasSchemathesis)("schemathesis", () => {
    it("finds no failure of the server, no status that is not documented, and nothing that hangs", {
        timeout: 600_000
    }, async () => {
        const {server} = await demoServer({contextSize: 256, timeout: 60, page: false});
        const listening = await listen(server, {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false});
        onTestFinished(() => listening.stop(0));
        const cwd = await mkdtemp(join(tmpdir(), "mara-schemathesis-"));
        onTestFinished(() => rm(cwd, {recursive: true}));
        const {stdout} = await promisify(execFile)(
            schemathesis,
            [
                ...["run", `${listening.url}/openapi.json`, "--phases", "coverage,fuzzing", "--checks", checks.join()],
                // The same requests every time, whatever the machine's speed.
                ...["--generation-deterministic", "--max-examples", "5", "--suppress-health-check", "all"],
                ...["--request-timeout", "120", "--no-color"]
            ],
            {cwd, maxBuffer: 2 ** 26}
        ).catch((error) => {
            throw new Error(error.stdout || error.message);
        });
        const [, passed] = /(\d+) generated, \1 passed/.exec(stdout) ?? [];
        expect(Number(passed)).toBeGreaterThan(1000);
    });
});
