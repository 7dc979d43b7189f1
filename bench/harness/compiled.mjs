/** Lets the bench measure the library as it is shipped: what it imports from lib comes from dist. tsx compiles otherwise, which costs small models speed. */
import {register} from "node:module";

const root = new URL("../../", import.meta.url).href;

/** Node asks the hooks that came last first, so `next` is tsx, which finds the source. */
export async function resolve(specifier, context, next) {
    const found = await next(specifier, context);
    if (!found.url.startsWith(`${root}lib/`)) return found;
    const url = found.url.replace(`${root}lib/`, `${root}dist/`).replace(/\.ts(?=$|\?)/, ".js");
    return {...found, url, format: "module"};
}

if (!new URL(import.meta.url).searchParams.has("hook")) register(`${import.meta.url}?hook`);
