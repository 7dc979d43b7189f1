/** Guides as text: "value:tuned=FILE,base=FILE,weight=1", as the command line and sides of evaluations name them. */
import {invalidArgument} from "../../errors.js";
import {contrast, guidance, valueModel} from "./guides.js";
import type {ModelGuide} from "./model-guide.js";

/** A guide's kind and its options. */
export interface GuideSpec {
    readonly kind: string;
    readonly [option: string]: string | number;
}

interface Kind {
    /** Names of the fields, and what each is. */
    fields: Readonly<Record<string, "file" | "number" | "text">>;
    make(options: never): ModelGuide;
}

const kinds: Readonly<Record<string, Kind>> = {
    guidance: {fields: {negativePrompt: "text", scale: "number"}, make: guidance},
    contrast: {
        fields: {amateur: "file", weight: "number", plausibility: "number", minMapped: "number"},
        make: contrast
    },
    value: {
        fields: {network: "file", tuned: "file", base: "file", weight: "number", minMapped: "number"},
        make: valueModel
    }
};

/** What `parseGuide` understands, for help texts. */
export const guideForms = [
    "value:tuned=FILE,base=FILE,weight=1",
    "value:network=FILE,weight=1",
    "contrast:amateur=FILE,weight=0.5,plausibility=0.1",
    "guidance:scale=1.5,negativePrompt=TEXT"
] as const;

/**
 * A guide from its text: the kind, a colon, and options after commas. A comma that no option's name follows belongs to a value.
 * @param name what the text is called in messages
 * @throws MaraError INVALID_ARGUMENT
 */
export function parseGuide(text: string, name: string): ModelGuide {
    return guideOf(readGuide(text, name));
}

/** What `parseGuide` makes a guide of. @throws MaraError INVALID_ARGUMENT for another form; the options are checked by `guideOf` */
export function readGuide(text: string, name: string): GuideSpec {
    const refuse = (): never => {
        throw invalidArgument(name, `a guide such as ${guideForms.join(" or ")}`, text);
    };
    const [kind = "", ...rest] = text.split(":");
    const {fields} = (Object.hasOwn(kinds, kind) ? kinds[kind] : undefined) ?? refuse();
    const names = Object.keys(fields).join("|");
    const parts = rest.join(":").split(new RegExp(`(?:^|,)(${names})=`));
    // Before the first name stands nothing; then names and values take turns.
    if (parts[0] !== "" || parts.length < 3) return refuse();
    const options: Record<string, string | number> = {};
    for (let i = 1; i < parts.length; i += 2) {
        const field = parts[i] as string;
        const value = (parts[i + 1] as string).trim();
        if (value === "" || Object.hasOwn(options, field)) return refuse();
        options[field] = fields[field] === "number" ? Number(value) : value;
    }
    return {kind, ...options};
}

/** @throws MaraError INVALID_ARGUMENT */
export function guideOf({kind, ...options}: GuideSpec): ModelGuide {
    return (kinds[kind] as Kind).make(options as never);
}

/** The guide with each file that it names called by another name. */
export async function renameFiles(spec: GuideSpec, rename: (file: string) => Promise<string>): Promise<GuideSpec> {
    const renamed: Record<string, string> = {};
    for (const [field, file] of Object.entries(guideFiles(spec))) renamed[field] = await rename(file);
    return {...spec, ...renamed};
}

/** The files that a guide names, by option. */
export function guideFiles(spec: GuideSpec): Record<string, string> {
    const {fields} = kinds[spec.kind] as Kind;
    const files = Object.entries(spec).filter(([field]) => fields[field] === "file");
    return Object.fromEntries(files) as Record<string, string>;
}
