/** What is taken where an option of `trainValue` is left out; the command line tells it too. */
export const valueDefaults = {candidates: 40, epochs: 20, seed: 0} as const;
