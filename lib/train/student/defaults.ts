/** The defaults of `trainStudent`. The command line tells them, and loads nothing else to do so. */
export const studentDefaults = {decisions: 6000, maxTokens: 128, epochs: 20, sequences: 8, seed: 0} as const;
