// Node 20 ignores `--import tsx` for worker threads, so this registers tsx first.
import {register} from "tsx/esm/api";

register();
await import("./worker.ts");
