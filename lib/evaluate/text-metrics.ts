/** Measures of responses that need no model. */

/** Runs of letters and digits, in lower case; an apostrophe inside belongs to its word. */
export function wordsOf(text: string): string[] {
    return text.toLowerCase().match(/[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*/gu) ?? [];
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
    const all = ngrams(words, 4);
    return all.length === 0 ? null : 1 - new Set(all).size / all.length;
}
