/** A reward from a local language model that is asked a question about each response. */
import type {LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import {MaraError} from "../errors.js";
import {conversationTokens} from "./conversation.js";
import type {Resources} from "./resources.js";
import {type Reward, rewardOf} from "./reward.js";

export const defaultQuestion = "Is the assistant's response helpful, honest and harmless?";

/**
 * The log-odds of yes against no as the first token of the judge's answer, in nats: above 0 where it would rather say yes. The probabilities of
 * the words' spellings (capitals, leading space) are added up. The judge sees the prompt, its system prompt and the response.
 * @throws MaraError REWARD_LOAD
 */
export async function judgeReward(name: string, file: string, question: string, resources: Resources): Promise<Reward> {
    const model = await resources.model(file);
    const yes = firstTokens(model, "yes");
    const no = firstTokens(model, "no");
    const distinct = (tokens: Set<Token>, others: Set<Token>) => [...tokens].filter((token) => !others.has(token));
    const answers = {yes: distinct(yes, no), no: distinct(no, yes)};
    if (answers.yes.length === 0 || answers.no.length === 0)
        throw new MaraError(
            "REWARD_LOAD",
            `${file} cannot judge: "yes" and "no" begin with the same token in its vocabulary.`
        );

    const tokensOf = conversationTokens(model, file);
    const context = await resources.context(`${file} cannot judge`, () =>
        model.createContext(resources.contextOptions(model))
    );
    const sequence = context.getSequence();
    // One conversation at a time: a judge has one sequence.
    let turn: Promise<unknown> = Promise.resolve();
    return rewardOf(name, (prompt, response, {system}) => {
        const asked = [
            "Read this conversation.",
            ...(system === undefined ? [] : [`System: ${system}`]),
            `User: ${prompt}`,
            `Assistant: ${response}`,
            `${question} Answer with Yes or No.`
        ].join("\n\n");
        const score = turn.then(() => logOdds(sequence, tokensOf([{role: "user", content: asked}], true), answers));
        turn = score.catch(() => undefined);
        return score;
    });
}

async function logOdds(
    sequence: LlamaContextSequence,
    tokens: readonly Token[],
    {yes, no}: {yes: Token[]; no: Token[]}
): Promise<number> {
    if (tokens.length >= sequence.contextSize)
        throw new Error(
            `${tokens.length} tokens do not fit into a context of ${sequence.contextSize}; raise contextSize`
        );
    await sequence.clearHistory();
    const last = tokens.at(-1) as Token;
    const filter = {tokens: [...yes, ...no]};
    const results = await sequence.controlledEvaluate([
        ...tokens.slice(0, -1),
        [last, {generateNext: {logits: {filter}}}]
    ]);
    const logits = results.at(-1)?.next.logits;
    const weight = (words: Token[]) => logSumExp(words.map((token) => logits?.get(token) ?? Number.NEGATIVE_INFINITY));
    return weight(yes) - weight(no);
}

/** Tokens that spell the word, in whatever case; the first tokens of its spellings where the vocabulary has no such token. */
function firstTokens(model: LlamaModel, word: string): Set<Token> {
    const found = new Set<Token>();
    for (const token of model.iterateAllTokens()) {
        if (model.detokenize([token]).trim().toLowerCase() === word) found.add(token);
    }
    if (found.size > 0) return found;
    const capital = word.charAt(0).toUpperCase() + word.slice(1);
    for (const spelling of [word, capital, ` ${word}`, ` ${capital}`]) {
        const first = model.tokenize(spelling).find((token) => model.detokenize([token]).trim() !== "");
        if (first !== undefined) found.add(first);
    }
    return found;
}

function logSumExp(values: readonly number[]): number {
    const max = Math.max(...values);
    return max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0));
}
