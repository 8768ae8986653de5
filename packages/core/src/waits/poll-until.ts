import { VfioError } from "../errors/vfio-error";
import { sleepSync } from "./sleep-sync";
import { checkTimeout } from "./time-out";

/** What a wait for a device's register tells when its time is over, and how often it looks. */
export interface BoundedWaitOptions {
  /** What the wait is for, for the error: `CMDSTS.active to clear`. */
  readonly what: string;
  /** What the error applies to: the device's address. */
  readonly subject: string;
  /** The device's state, for the error. Called only at the time-out. */
  readonly state?: () => string;
  /** Microseconds to poll without a pause first. Default 100. */
  readonly spinMicroseconds?: number;
  /** The longest pause between two polls after that, in milliseconds. Default 1. */
  readonly maxPauseMs?: number;
}

/** A wait for a device's register, with its time limit. */
export interface PollOptions extends BoundedWaitOptions {
  /** Milliseconds until `ETIMEDOUT`. The wait checks the condition at least once more after that. */
  readonly timeoutMs: number;
}

const FIRST_PAUSE_MS = 0.05;
const DEFAULT_SPIN_MICROSECONDS = 100;
const DEFAULT_PAUSE_MS = 1;

/**
 * A wait that a driver makes for each copy. Its condition and its error's text are made once, so a wait allocates
 * nothing (docs/architecture.md, rule 2).
 */
export class BoundedWait {
  readonly #condition: () => boolean;
  readonly #options: BoundedWaitOptions;
  readonly #spinMs: number;
  readonly #maxPauseMs: number;

  /** Makes what a wait needs, once. Waits for nothing yet. */
  constructor(condition: () => boolean, options: BoundedWaitOptions) {
    this.#condition = condition;
    this.#options = options;
    this.#spinMs = (options.spinMicroseconds ?? DEFAULT_SPIN_MICROSECONDS) / 1000;
    this.#maxPauseMs = options.maxPauseMs ?? DEFAULT_PAUSE_MS;
  }

  /**
   * Checks the condition until it is true: at first without a pause, then with pauses that double from 50 µs to the
   * longest. Blocks the thread. Throws `ETIMEDOUT` with the device's state after `timeoutMs`.
   */
  wait(timeoutMs: number): void {
    const condition = this.#condition;
    if (condition()) return;
    checkTimeout(this.#options.what, timeoutMs);
    const start = performance.now();
    const spinUntil = start + Math.min(this.#spinMs, timeoutMs);
    while (performance.now() < spinUntil) {
      if (condition()) return;
    }
    const deadline = start + timeoutMs;
    let pauseMs = Math.min(FIRST_PAUSE_MS, this.#maxPauseMs);
    for (;;) {
      const left = deadline - performance.now();
      if (left <= 0) break;
      sleepSync(Math.min(pauseMs, left));
      if (condition()) return;
      pauseMs = Math.min(pauseMs * 2, this.#maxPauseMs);
    }
    // This thread may have been off the CPU for long. Only the device's state after the deadline counts.
    if (condition()) return;
    throw this.#timeOut(timeoutMs);
  }

  #timeOut(timeoutMs: number): VfioError {
    const { what, subject, state } = this.#options;
    const inState = state === undefined ? "" : `; device state: ${state()}`;
    return new VfioError(`waited ${timeoutMs} ms for ${what} on ${subject}${inState}`, {
      code: "ETIMEDOUT",
      errno: 110,
      operation: what,
      subject,
    });
  }
}

/** Checks `condition` until it is true, like {@link BoundedWait}, once. */
export function pollUntil(condition: () => boolean, options: PollOptions): void {
  new BoundedWait(condition, options).wait(options.timeoutMs);
}
