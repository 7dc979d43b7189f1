import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";
import type {RandomGenerator} from "pure-rand/types/RandomGenerator";
import {
    closings,
    curtClosings,
    frames,
    guests,
    type Note,
    notes,
    openings,
    type Subject,
    type Topic
} from "./guesthouse.js";
import {topics} from "./topics.js";

/**
 * The world of the demo: guests ask the desk of Harbour House, the desk answers. Every reply gets an exact score, so that
 * it is known which of two replies to one prompt is better.
 */

/** A guest's words, and what they are about. Plain data: it survives JSON. */
export interface GuestPrompt {
    text: string;
    topic: string;
    about: string;
    guest: string | null;
}

export type Point = "opening" | "answer" | "note" | "closing";

/** One way of putting one part of a reply. `points` is what it adds to the score of a well-formed reply. */
export interface Option {
    text: string;
    /** How often the option occurs in the base model's training text, relative to its neighbours. */
    weight: number;
    points: number;
}

export type Segments = Record<Point, Option[]>;

export interface ReplyScore {
    /** The sum of the four, 0 to 10. */
    value: number;
    /** One point each: a courteous opening, an answer in a full sentence, a courteous closing. */
    courtesy: number;
    /** Two points: the caution is there if the request calls for one, and nothing careless is said. */
    care: number;
    /** Four points: every fact of the answer is there. */
    content: number;
    /** One point: sentences, none of them twice, no stutter, no ramble. */
    wellFormed: number;
}

/** A request and everything that the world knows of it. */
interface Request {
    topic: Topic;
    row: Subject;
    facts: string[][];
    note: Note | undefined;
}

const maxWords = 70;
const heldOutPercent = 12;
const courteousOpening =
    /^(good (day|morning|afternoon|evening)|hello|welcome|of course|certainly|gladly|with pleasure|thank you|dear|i am sorry to hear|that is a good question)\b/i;
const courteousClosing =
    /^(just ask|do ask|i am (always )?here|have (a|fun)|enjoy|i hope|see you|good luck|make yourself|thank you|welcome)\b/i;
const speaksToGuest = /\b(you|your|please|i|we)\b/i;

const requests = new Map<string, Request>();
for (const topic of topics) for (const row of topic.rows) requests.set(key(topic.name, row[0]), describe(topic, row));

/** Prompts of which no (request, guest) pair is in `heldOutPrompts`. The same seed gives the same prompts. */
export function trainingPrompts(count: number, seed = 1): GuestPrompt[] {
    const rng = xoroshiro128plus(seed);
    return Array.from({length: count}, () => samplePrompt(rng, false));
}

/** Different prompts of which no (request, guest) pair is in `trainingPrompts`. */
export function heldOutPrompts(count = 300, seed = 1): GuestPrompt[] {
    const rng = xoroshiro128plus(seed);
    const found = new Map<string, GuestPrompt>();
    while (found.size < count) {
        const prompt = samplePrompt(rng, true);
        found.set(prompt.text, prompt);
    }
    return [...found.values()];
}

/** Every way in which the desk may put each part of its reply. A reply is one option of each, joined by spaces. */
export function replySegments(prompt: GuestPrompt): Segments {
    const {topic, row, note} = requestOf(prompt);
    const name = prompt.guest == null ? "" : `, ${prompt.guest}`;
    // The usual brusque habit differs between requests, so that the raw model does not always sound the same.
    const habit = hash(key(topic.name, row[0]));
    const blunt = habit % 2 === 0;
    const closing = Math.floor(habit / 2) % 3;

    return {
        opening: [
            {text: "", weight: blunt ? 20 : 48, points: 0},
            {text: topic.rude, weight: blunt ? 38 : 10, points: 0},
            ...share(topic.openings ?? openings, 42, 1).map((o) => ({...o, text: o.text.replace("{n}", name)}))
        ],
        answer: [
            {text: fill(topic.curt[0], row), weight: 42, points: 4},
            {text: fill(topic.curt[1], row), weight: 16, points: 4},
            ...share(topic.polite, 42, 5).map((o) => ({...o, text: fill(o.text, row)}))
        ],
        note:
            note == null
                ? [{text: "", weight: 1, points: 2}]
                : [
                      {text: "", weight: blunt ? 52 : 28, points: 0},
                      {text: topic.careless ?? "", weight: blunt ? 12 : 36, points: 0},
                      ...share(note.texts, 36, 2)
                  ],
        closing: [
            {text: "", weight: closing === 0 ? 36 : 22, points: 0},
            ...curtClosings.map((text, i) => ({text, weight: i + 1 === closing ? 24 : 6, points: 0})),
            ...share(closingsOf(topic), 40, 1)
        ]
    };
}

/** The best options only, the worst only, or as the base model's training text has them. */
export type ReplyStyle = "courteous" | "curt" | "mixed";

/** A reply drawn from the options. `styles` may have one for each part; parts of the same seed and style are the same. */
export function composeReply(prompt: GuestPrompt, styles: ReplyStyle | readonly ReplyStyle[], seed: number): string {
    const rng = xoroshiro128plus(seed);
    const parts = Object.values(replySegments(prompt)).map((options, i) => {
        const style = typeof styles === "string" ? styles : styles[i];
        const wanted = Math[style === "curt" ? "min" : "max"](...options.map(({points}) => points));
        return pick(rng, style === "mixed" ? options : options.filter(({points}) => points === wanted)).text;
    });
    return parts.filter((part) => part !== "").join(" ");
}

export function score(prompt: GuestPrompt, reply: string): ReplyScore {
    const {row, facts, note, topic} = requestOf(prompt);
    const text = reply.trim();
    const sentences = text.split(/(?<=[.!?])\s+/).filter((sentence) => sentence !== "");
    const saysFact = (sentence: string) => facts.flat().some((fact) => says(sentence, fact));
    const speaks = (sentence: string) => speaksToGuest.test(sentence) || says(sentence, row[0]);
    const wrongName = guests.some((guest) => guest !== prompt.guest && new RegExp(`\\b${guest}\\b`).test(text));

    const opening = courteousOpening.test(text) && !wrongName;
    const answer = sentences.some((sentence) => saysFact(sentence) && speaks(sentence));
    const last = sentences.at(-1) ?? "";
    const closing = sentences.length > 1 && (courteousClosing.test(last) || closingsOf(topic).includes(last));
    const careless = topic.careless != null && says(text, topic.careless);

    const courtesy = Number(opening) + Number(answer) + Number(closing);
    const care = careless || (note != null && !says(text, note.sign)) ? 0 : 2;
    const content = facts.every((alternatives) => alternatives.some((fact) => says(text, fact))) ? 4 : 0;
    const wellFormed = isWellFormed(sentences) ? 1 : 0;
    return {value: courtesy + care + content + wellFormed, courtesy, care, content, wellFormed};
}

/** Which of two replies to a prompt is better. */
export function prefer(prompt: GuestPrompt, a: string, b: string): "a" | "b" | "tie" {
    const difference = score(prompt, a).value - score(prompt, b).value;
    return difference > 0 ? "a" : difference < 0 ? "b" : "tie";
}

function describe(topic: Topic, row: Subject): Request {
    const facts = [row[1], row[2]].filter((fact) => fact !== "").map((fact) => fact.split("|"));
    return {topic, row, facts, note: row[3] == null ? undefined : notes[row[3]]};
}

function requestOf(prompt: GuestPrompt): Request {
    const request = requests.get(key(prompt.topic, prompt.about));
    if (request == null) throw new RangeError(`No such request in the demo's world: ${prompt.topic}, ${prompt.about}`);
    return request;
}

function samplePrompt(rng: RandomGenerator, heldOut: boolean): GuestPrompt {
    for (;;) {
        const topic = choose(rng, topics);
        const row = choose(rng, topic.rows);
        const question = fill(choose(rng, topic.ask), row);
        const guest = uniformInt(rng, 0, 2) === 0 ? null : choose(rng, guests);
        const frame = choose(rng, guest == null ? frames.unnamed : frames.named);
        const text = frame.replace("{n}", guest ?? "").replace("{q}", question);
        // Without a name the wording stands for the guest, because such requests would otherwise be held out whole.
        const isHeldOut = hash(key(topic.name, row[0], guest ?? text)) % 100 < heldOutPercent;
        if (isHeldOut === heldOut) return {text, topic: topic.name, about: row[0], guest};
    }
}

function isWellFormed(sentences: string[]): boolean {
    const words = sentences.join(" ").split(/\s+/);
    return (
        sentences.length > 0 &&
        sentences.every((sentence) => /^[A-Z0-9].*[.!?]$/s.test(sentence)) &&
        new Set(sentences).size === sentences.length &&
        words.length <= maxWords &&
        words.every((word, i) => word !== words[i - 1])
    );
}

/** True if the words of `phrase` stand in `text` one after the other. */
function says(text: string, phrase: string): boolean {
    return plain(text).includes(plain(phrase));
}

function plain(text: string): string {
    return ` ${
        text
            .toLowerCase()
            .match(/[a-z0-9:]+/g)
            ?.join(" ") ?? ""
    } `;
}

function fill(template: string, [x, a, b]: Subject): string {
    const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
    const values: Record<string, string> = {x, a, b, A: capital(a), B: capital(b)};
    return template.replace(/\{(\w)\}/g, (_, name: string) => values[name] ?? "");
}

/** Options that share a weight evenly. */
function share(texts: string[], weight: number, points: number): Option[] {
    return texts.map((text) => ({text, weight: weight / texts.length, points}));
}

function closingsOf(topic: Topic): string[] {
    return [topic.closing, ...(topic.closings ?? closings)];
}

function pick(rng: RandomGenerator, options: Option[]): Option {
    let left = (uniformInt(rng, 0, 0xffffff) / 0x1000000) * options.reduce((sum, {weight}) => sum + weight, 0);
    for (const option of options) {
        left -= option.weight;
        if (left < 0) return option;
    }
    throw new RangeError("Options without weight");
}

function choose<T>(rng: RandomGenerator, values: readonly T[]): T {
    return values[uniformInt(rng, 0, values.length - 1)] as T;
}

function key(...parts: string[]): string {
    return parts.join("|");
}

/** FNV-1a with a final mix, so that the low bits are usable. */
function hash(text: string): number {
    let value = 0x811c9dc5;
    for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 0x01000193);
    value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
    return (value ^ (value >>> 13)) >>> 0;
}
