/** What the racing threads share: words for start and stop, then each step's results, then the steps' arguments. */
export const WORDS = { round: 0, finished: 1, repeats: 2, ready: 3 } as const;
export const WORD_COUNT = 4;
/** Words of each step's results. At `errnos` begin the words with a bit for each errno that the step failed with. */
export const RESULTS = { succeeded: 0, failed: 1, errnos: 2 } as const;
/** Enough for every errno (asm-generic/errno.h ends at 133). */
export const ERRNO_WORDS = 5;
export const RESULT_COUNT = RESULTS.errnos + ERRNO_WORDS;

/** One request that a thread repeats. The thread reads its argument anew in every round. */
export interface RacerStep {
  readonly fd: number;
  readonly request: number;
  /** Bytes of the argument. */
  readonly length: number;
}

export interface RacerRequest {
  readonly steps: readonly RacerStep[];
  readonly memory: SharedArrayBuffer;
}

export function resultWord(step: number, result: keyof typeof RESULTS): number {
  return WORD_COUNT + step * RESULT_COUNT + RESULTS[result];
}

/** Offset of a step's argument in the shared memory. */
export function argumentOffset(steps: readonly { readonly length: number }[], step: number): number {
  const words = WORD_COUNT + steps.length * RESULT_COUNT;
  return steps.slice(0, step).reduce((offset, { length }) => offset + roundUp(length), roundUp(words * 4));
}

function roundUp(length: number): number {
  return Math.ceil(length / 8) * 8;
}
