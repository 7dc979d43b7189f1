// Prints the folder of node-addon-api's headers for binding.gyp: the development dependency's, or the copy that the package carries for
// systems without a prebuilt file.
const path = require("node:path");

try {
    console.log(require("node-addon-api").include_dir);
} catch {
    console.log(path.join(__dirname, "..", "include"));
}
