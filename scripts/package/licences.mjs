// Writes THIRD_PARTY_NOTICES.md: whose code the package carries, and under which licences its dependencies come. With --check it writes
// nothing and fails if the file differs from what it would write, or if a licence is not one that may be shipped.
import {readdirSync, readFileSync, writeFileSync} from "node:fs";
import path from "node:path";
import {fileURLToPath} from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (...parts) => readFileSync(path.join(root, ...parts), "utf8");
const allowed = new Set(["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "0BSD"]);

/** Packages of the lock file that an installation of this package brings along. */
function installed() {
    const {packages} = JSON.parse(read("package-lock.json"));
    const closure = new Map();
    const waiting = Object.keys(packages[""].dependencies).map((name) => `node_modules/${name}`);
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
        if (closure.has(at)) continue;
        const entry = packages[at];
        closure.set(at, entry);
        for (const name of Object.keys(entry.dependencies ?? {})) waiting.push(resolve(packages, at, name));
    }
    return [...closure].map(([at, {license}]) => ({name: at.split("node_modules/").at(-1), licence: license, at}));
}

/** Node's search: beside the package's own dependencies, then outwards. */
function resolve(packages, from, name) {
    for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
        const at = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
        if (at in packages) return at;
        if (folder === "") throw new Error(`package-lock.json has no ${name} for ${from}`);
    }
}

function licenceText(name) {
    const folder = path.join("node_modules", name);
    const file = readdirSync(path.join(root, folder)).find((file) => /^licen[sc]e/i.test(file));
    return read(folder, file).trim();
}

const quoted = (text) => `\`\`\`text\n${text}\n\`\`\``;
const rows = [...new Map(installed().map((entry) => [`${entry.name} ${entry.licence}`, entry])).values()];
rows.sort((a, b) => (a.name < b.name ? -1 : 1));
const refused = rows.filter(({licence}) => !allowed.has(licence));
for (const {name, licence} of refused)
    console.error(`${name} comes under ${licence}, which is not among ${[...allowed].join(", ")}`);

const text = `# Third-party notices

node-llama-mara is under the MIT licence (LICENSE). The demo's model and agent were made by this project from texts of its own (demo/README.md) and come under the same licence.

## In the package

The compiled files in \`prebuilds/\` and the server's page contain the following; \`include/\` holds the headers of the first, for compiling.

- **node-addon-api**, MIT:

${quoted(licenceText("node-addon-api"))}

- **Preact**, in the page of \`mara serve\` (\`dist/server/page\`), MIT:

${quoted(licenceText("preact"))}

- **libc++, libc++abi, libunwind and compiler-rt** of the LLVM Project, linked into the files for Linux (and for Windows where it was made with zig): Apache License 2.0 with LLVM Exceptions, https://llvm.org/LICENSE.txt. The exceptions lift the notices for object code; they are named here all the same.
- **The mingw-w64 runtime**, linked into a Windows file made with zig: public domain in most parts, otherwise under this licence:

${quoted(read("scripts", "package", "mingw-w64-runtime.txt").trim())}

- **NVIDIA's CUDA runtime**, linked into the CUDA file: NVIDIA CUDA Toolkit End User License Agreement, Attachment A (redistributable software).

## Installed beside the package

npm installs these with the package, each with its licence's text. Chart.js is also copied into the HTML reports that \`mara\` writes.

| Package | Licence |
| --- | --- |
${rows.map(({name, licence}) => `| ${name} | ${licence} |`).join("\n")}

node-llama-cpp (MIT), a peer dependency, brings llama.cpp (MIT).
`;

const file = path.join(root, "THIRD_PARTY_NOTICES.md");
if (process.argv.includes("--check")) {
    if (read("THIRD_PARTY_NOTICES.md") !== text) {
        console.error("THIRD_PARTY_NOTICES.md does not fit package-lock.json. Run: npm run licences");
        process.exitCode = 1;
    }
} else writeFileSync(file, text);
if (refused.length > 0) process.exitCode = 1;
