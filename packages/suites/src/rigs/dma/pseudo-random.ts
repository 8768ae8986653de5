import { targetOptions } from "@vfio-selftests/harness";

/** Spreads the bits of the run's seed (2^32 divided by the golden ratio), so that it does not undo a test's seed. */
const SPREAD = 0x9e3779b1;

/** Reproducible random numbers (xorshift32, Marsaglia 2003). The test's seed and the run's repeat a failing copy. */
export class PseudoRandom {
  #state: number;

  constructor(readonly seed: number) {
    const ofRun = targetOptions().seed;
    this.#state = (ofRun === undefined ? seed : seed ^ Math.imul(ofRun + 1, SPREAD)) | 0 || 1;
  }

  /** An integer from 0 to `limit` - 1; `limit` is at most 2^32. */
  below(limit: number): number {
    this.#next();
    return (this.#state >>> 0) % limit;
  }

  oneOf<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new RangeError("nothing to choose from");
    return choice;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) {
      if (i % 4 === 0) this.#next();
      bytes[i] = this.#state >>> (8 * (i % 4));
    }
  }
  #next(): void {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
  }
}
