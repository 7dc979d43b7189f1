/** Measures of responses that need no model. */

export interface Word {
    /** In lower case. */
    word: string;
    start: number;
    end: number;
}

/** Runs of letters and digits with their places; an apostrophe inside belongs to its word. */
export function wordPlaces(text: string): Word[] {
    return Array.from(text.matchAll(/[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*/gu), ({0: word, index: start}) => ({
        word: word.toLowerCase(),
        start,
        end: start + word.length
    }));
}

/** The words of `wordPlaces` alone. */
export function wordsOf(text: string): string[] {
    return wordPlaces(text).map(({word}) => word);
}

function ngrams(words: readonly string[], n: number): string[] {
    return words.slice(n - 1).map((_, i) => words.slice(i, i + n).join(" "));
}

/** distinct-n: different n-grams of words over n-grams, in all texts together (Li et al., NAACL 2016). Null without any. */
export function distinct(texts: readonly (readonly string[])[], n: number): number | null {
    const all = texts.flatMap((words) => ngrams(words, n));
    return all.length === 0 ? null : new Set(all).size / all.length;
}

/** The share of a text's 4-grams of words that stood in it before (rep-4: Welleck et al., ICLR 2020). Null under four words. */
export function repetition(words: readonly string[]): number | null {
    const repeats = repeatsOf(words);
    return repeats.length === 0 ? null : repeats.filter((repeat) => repeat).length / repeats.length;
}

/** For each word from the fourth on: whether it ends a 4-gram that stood in the text before. */
export function repeatsOf(words: readonly string[]): boolean[] {
    const seen = new Set<string>();
    return ngrams(words, 4).map((gram) => seen.size === seen.add(gram).size);
}
