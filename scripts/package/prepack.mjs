// Before packing: copies node-addon-api's headers into include/, so that a machine without a prebuilt file can compile the addon, and
// nobody else has to install them; and says so if the tarball will hold no prebuilt file for this machine.
import {copyFileSync, existsSync, mkdirSync, rmSync} from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";
import {fileURLToPath} from "node:url";
import {hostTarget} from "../prebuild/targets.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const from = path.dirname(createRequire(import.meta.url).resolve("node-addon-api/package.json"));
const to = path.join(root, "include");
rmSync(to, {recursive: true, force: true});
mkdirSync(to);
for (const file of ["napi.h", "napi-inl.h", "napi-inl.deprecated.h", "LICENSE.md"])
    copyFileSync(path.join(from, file), path.join(to, file));

// --prebuilds FOLDER looks elsewhere, for the test.
const at = process.argv.indexOf("--prebuilds");
const prebuilds = at < 0 ? path.join(root, "prebuilds") : process.argv[at + 1];
const host = hostTarget();
if (host === undefined || !existsSync(path.join(prebuilds, host.path)))
    console.error(
        `node-llama-mara: there is no prebuilt file for ${host?.name ?? `${process.platform}-${process.arch}`} in prebuilds/: ` +
            "whoever installs this tarball here must compile the addon. To make the file: npm run prebuild:host"
    );
