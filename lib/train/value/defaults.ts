/** The defaults of `trainValue`. The command line tells them, and loads nothing else to do so. */
export const valueDefaults = {candidates: 40, epochs: 20, seed: 0} as const;
