import type { Bar0 } from "../registers/bar0";
import type { Config } from "../registers/config-space";

/** Logs the channel's errors in BAR0 and, for the platform, in config space. */
export class ErrorLog {
  readonly #bar0: Bar0;
  readonly #config: Config;

  constructor(bar0: Bar0, config: Config) {
    this.#bar0 = bar0;
    this.#config = config;
  }

  /** False if CHANERRMSK masks the error. Then it logs nothing, and the channel need not stop. */
  record(error: number): boolean {
    const { CHANERR, CHANERRMSK } = this.#bar0.registers;
    if ((CHANERRMSK.value & error) !== 0) return false;
    const { CHANERR_INT, CHANERRPTR } = this.#config.registers;
    // The pointer names the first error until software clears all.
    if (CHANERR_INT.value === 0) CHANERRPTR.value = 31 - Math.clz32(error);
    CHANERR_INT.value |= error;
    CHANERR.value |= error;
    return true;
  }

  /** Whether there is an error that software has not cleared yet. */
  get pending(): boolean {
    const { CHANERR, CHANERRMSK } = this.#bar0.registers;
    return (CHANERR.value & ~CHANERRMSK.value) !== 0;
  }
}
