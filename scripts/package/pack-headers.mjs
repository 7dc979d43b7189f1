// Before packing: copies node-addon-api's headers into include/, so that a machine without a prebuilt file can compile the addon, and
// nobody else has to install them.
import {copyFileSync, mkdirSync, rmSync} from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";
import {fileURLToPath} from "node:url";

const from = path.dirname(createRequire(import.meta.url).resolve("node-addon-api/package.json"));
const to = fileURLToPath(new URL("../../include", import.meta.url));
rmSync(to, {recursive: true, force: true});
mkdirSync(to);
for (const file of ["napi.h", "napi-inl.h", "napi-inl.deprecated.h", "LICENSE.md"])
    copyFileSync(path.join(from, file), path.join(to, file));
