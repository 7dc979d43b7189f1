/** The one way in which arguments are checked: a zod schema whose messages say what is expected. */
import {distance} from "fastest-levenshtein";
import {z} from "zod";
import {invalidArgument, MaraError, reasonOf} from "../errors.js";

/** Longest name and longest message of a refusal, in characters. */
const longestName = 120;
const longestMessage = 600;
/** More names than these are not listed in a message. */
const maxNames = 14;

/**
 * The value as the schema gives it.
 *
 * @param name what the value is called in messages
 * @param fields what precedes the names of its fields: "" for options, which are named alone
 * @throws MaraError INVALID_ARGUMENT: "Expected … for … but received …", in at most 600 characters
 */
export function check<Schema extends z.ZodType>(
    schema: Schema,
    value: unknown,
    name: string,
    fields = name
): z.output<Schema> {
    let result: z.ZodSafeParseResult<z.output<Schema>>;
    try {
        result = schema.safeParse(value);
    } catch (error) {
        // Reading a getter or a proxy may throw anything.
        throw new MaraError("INVALID_ARGUMENT", `Could not read ${name}: ${reasonOf(error)}`, {cause: error});
    }
    if (result.success) return result.data;
    throw refusal(result.error.issues, value, name, fields);
}

/** The form of options: an object. A promise that was not awaited, a date or an array is refused. */
const record = z.custom<object>((value) => Object.prototype.toString.call(value) === "[object Object]", "an object");

/** An object with these fields and no others. */
export function options<Shape extends z.ZodRawShape>(shape: Shape) {
    const unknown = z.custom<never>(() => false, {params: {known: namesOf(shape)}});
    return record.pipe(z.object(shape).catchall(unknown) as unknown as z.ZodObject<Shape>);
}

/** Names of the fields, and `outer.inner` for those of objects among them. */
function namesOf(shape: z.ZodRawShape): string[] {
    return Object.entries(shape).flatMap(([name, field]) => {
        const outer = field instanceof z.ZodOptional || field instanceof z.ZodDefault ? field.unwrap() : field;
        const inner = outer instanceof z.ZodPipe ? outer.out : outer;
        return inner instanceof z.ZodObject ? [name, ...Object.keys(inner.shape).map((key) => `${name}.${key}`)] : name;
    });
}

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

function refusal(issues: readonly Issue[], value: unknown, name: string, fields: string): MaraError {
    // A misspelt name explains why another is missing, so it is told first.
    const {issue, path} = innermost(issues.find((one) => knownOf(one) !== undefined) ?? (issues[0] as Issue), []);
    const known = knownOf(issue);
    if (known === undefined) return bounded(placeOf(path, name, fields), issue.message, at(value, path));
    const key = String(path.at(-1));
    const own = known.filter((one) => !one.includes("."));
    const expected = `only ${own.length > maxNames ? "documented ones" : own.join(", ")}`;
    return bounded(placeOf(path.slice(0, -1), name, fields), expected, key, nearest(key, known));
}

/** Finds the issue of a union inside the alternative that fits at the outside, if there is one. */
function innermost(issue: Issue, before: Path): {issue: Issue; path: Path} {
    const path = [...before, ...issue.path];
    const inside = issue.code === "invalid_union" ? issue.errors.map(([first]) => first) : [];
    const deeper = inside.find((one) => one !== undefined && one.path.length > 0);
    return deeper === undefined ? {issue, path} : innermost(deeper, path);
}

function knownOf(issue: Issue): readonly string[] | undefined {
    return issue.code === "custom" ? issue.params?.known : undefined;
}

function placeOf(path: Path, name: string, fields: string): string {
    if (path.length === 0) return name;
    const place = path.reduce<string>((text, key) => {
        if (typeof key === "number") return `${text}[${key}]`;
        if (!/^\w+$/.test(String(key))) return `${text}[${JSON.stringify(String(key))}]`;
        return text === "" ? String(key) : `${text}.${String(key)}`;
    }, fields);
    return place.length > longestName ? `${place.slice(0, longestName)}…` : place;
}

function at(value: unknown, path: Path): unknown {
    return path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)[key], value);
}

/** Suggests the known name that is near enough. */
function nearest(key: string, known: readonly string[]): string {
    const far = (one: string) => distance((one.split(".").at(-1) as string).toLowerCase(), key.toLowerCase());
    const [best] = key.length > longestName ? [] : known.toSorted((a, b) => far(a) - far(b));
    // Two letters that changed places are a distance of two.
    const max = Math.min(key.length - 1, Math.max(2, key.length / 3));
    if (best === undefined || far(best) > max) return "";
    return `. Did you mean ${JSON.stringify(best)}?`;
}

function bounded(place: string, expected: string, received: unknown, hint = ""): MaraError {
    const error = invalidArgument(place, expected, received, hint);
    const {message} = error;
    return message.length <= longestMessage
        ? error
        : new MaraError("INVALID_ARGUMENT", `${message.slice(0, longestMessage)}…`);
}
