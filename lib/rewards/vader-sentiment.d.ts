declare module "vader-sentiment" {
    /** `compound` is the text's valence in −1 … 1. */
    export const SentimentIntensityAnalyzer: {
        polarity_scores(text: string): {neg: number; neu: number; pos: number; compound: number};
    };
}
