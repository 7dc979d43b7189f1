// Lists the addon's source files for binding.gyp, so that a new file needs no entry anywhere.
const {readdirSync} = require("node:fs");

for (const folder of ["native/kernel", "native/llama", "native/train", "bindings"])
    for (const file of readdirSync(folder).sort()) if (file.endsWith(".cpp")) console.log(`${folder}/${file}`);
