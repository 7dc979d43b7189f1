/** Brevity with politeness: 1 for each polite word, less 0.03 for every word. Each word has a span. */
const polite =
    /^(please|thanks?|sorry|welcome|happy|glad(ly)?|pleasure|appreciate|kind(ly)?|hope|sure|certainly|apolog\w*|dear|sincerely|delighted)$/i;
const perWord = 0.03;

export default function courtesy(_prompt, response) {
    const seen = new Set();
    const spans = [...response.matchAll(/[\p{L}\p{N}'’-]+/gu)].map(({index: start, 0: word}) => {
        const key = word.toLowerCase();
        // A word that is repeated is polite once.
        const counts = polite.test(word) && !seen.has(key);
        seen.add(key);
        return {start, end: start + word.length, score: Number(counts) - perWord};
    });
    return {score: spans.reduce((sum, {score}) => sum + score, 0), spans};
}
