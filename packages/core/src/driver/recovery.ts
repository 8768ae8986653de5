import { VfioError } from "../errors/vfio-error";

/**
 * What a driver does after an error: it brings its device up again, so that the next copy works. Where that fails, it tries
 * again before the next command.
 */
export class Recovery {
  readonly #bringUp: () => void;
  #needed = false;

  /** `bringUp` makes the device work from any state. No DMA is under way when it returns. */
  constructor(bringUp: () => void) {
    this.#bringUp = bringUp;
  }

  /** For the start of each command: brings the device up if the last recovery failed. Throws what `bringUp` throws. */
  retry(): void {
    if (!this.#needed) return;
    this.#bringUp();
    this.#needed = false;
  }

  /**
   * Brings the device up after an error, and returns that error for the caller to throw. A failure to do so is added to its
   * text: the caller asked about the first error, and the next command shows whether the device is still broken.
   */
  after(error: unknown): unknown {
    this.#needed = true;
    try {
      this.retry();
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      if (error instanceof VfioError) error.message += `\n  Recovery failed: ${text}`;
    }
    return error;
  }
}
