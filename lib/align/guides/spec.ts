/** Guides as text: "value:tuned=FILE,base=FILE,weight=1", as the command line and sides of evaluations name them. */
import {invalidArgument} from "../../errors.js";
import {contrast, guidance, valueModel} from "./guides.js";
import type {ModelGuide} from "./model-guide.js";

interface Kind {
    /** Names of the fields, and whether each is a number. */
    fields: Readonly<Record<string, "number" | "text">>;
    make(options: never): ModelGuide;
}

const kinds: Readonly<Record<string, Kind>> = {
    guidance: {fields: {negativePrompt: "text", scale: "number"}, make: guidance},
    contrast: {
        fields: {amateur: "text", weight: "number", plausibility: "number", minMapped: "number"},
        make: contrast
    },
    value: {fields: {tuned: "text", base: "text", weight: "number", minMapped: "number"}, make: valueModel}
};

/** What `parseGuide` understands, for help texts. */
export const guideForms = [
    "value:tuned=FILE,base=FILE,weight=1",
    "contrast:amateur=FILE,weight=0.5,plausibility=0.1",
    "guidance:scale=1.5,negativePrompt=TEXT"
] as const;

/**
 * A guide from its text: the kind, a colon, and options after commas. A comma that no option's name follows belongs to a value.
 * @param name what the text is called in messages
 * @throws MaraError INVALID_ARGUMENT
 */
export function parseGuide(text: string, name: string): ModelGuide {
    const refuse = (): never => {
        throw invalidArgument(name, `a guide such as ${guideForms.join(" or ")}`, text);
    };
    const [kind = "", ...rest] = text.split(":");
    const {fields, make} = (Object.hasOwn(kinds, kind) ? kinds[kind] : undefined) ?? refuse();
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
    return make(options as never);
}
