/** What the two faulting threads share: 32-bit words, then the address that the other thread touches. */
export const FAULT_WORDS = { round: 0, finished: 1, result: 2, ready: 3 } as const;
export const FAULT_BYTES = 24;
/** Offset of the address, a 64-bit word. */
export const ADDRESS_OFFSET = 16;
export const STOP = -1;

export interface FaultRequest {
  readonly memory: SharedArrayBuffer;
  /** An eventfd, of which nobody else has a descriptor. */
  readonly fd: number;
}

/** Turns of waiting for the other thread before this one lets others have the processor. */
const SPINS = 20_000;
const NAP_MS = 1;

/** Waits, spinning first, until a word is no longer `seen`. Gives the word; `seen` when the time is over. */
export function awaitChange(words: Int32Array, index: number, seen: number, timeoutMs: number): number {
  const deadline = performance.now() + timeoutMs;
  for (let spins = 0; ; spins++) {
    const value = Atomics.load(words, index);
    if (value !== seen) return value;
    if (spins < SPINS) continue;
    if (performance.now() > deadline) return seen;
    Atomics.wait(words, index, seen, NAP_MS);
  }
}
