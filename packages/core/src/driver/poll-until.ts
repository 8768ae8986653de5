import { VfioError } from "../errors/vfio-error";
import { checkTimeout } from "../interrupts/time-out";
import { sleepSync } from "./sleep-sync";

export interface PollOptions {
  /** Milliseconds until `ETIMEDOUT`; the condition is asked at least once more after that. */
  readonly timeoutMs: number;
  /** What is waited for, for the error: `CMDSTS.active to clear`. */
  readonly what: string;
  /** What the error applies to: the device's address. */
  readonly subject: string;
  /** The device's state at the time-out, for the error; asked only then. */
  readonly state?: () => string;
  /** Microseconds to poll without a pause first; default 100. */
  readonly spinMicroseconds?: number;
  /** The longest pause between two polls after that, in milliseconds; default 1. */
  readonly maxPauseMs?: number;
}

const FIRST_PAUSE_MS = 0.05;

/**
 * Asks `condition` until it is true: at first without a pause, then with pauses that double from 50 µs to `maxPauseMs`.
 * Blocks the thread. Throws `ETIMEDOUT` with the device's state.
 */
export function pollUntil(condition: () => boolean, options: PollOptions): void {
  if (condition()) return;
  const timeoutMs = checkTimeout("pollUntil", options.timeoutMs);
  const start = performance.now();
  const spinUntil = start + Math.min((options.spinMicroseconds ?? 100) / 1000, timeoutMs);
  while (performance.now() < spinUntil) {
    if (condition()) return;
  }
  const maxPauseMs = options.maxPauseMs ?? 1;
  const deadline = start + timeoutMs;
  let pauseMs = Math.min(FIRST_PAUSE_MS, maxPauseMs);
  for (;;) {
    const left = deadline - performance.now();
    if (left <= 0) break;
    sleepSync(Math.min(pauseMs, left));
    if (condition()) return;
    pauseMs = Math.min(pauseMs * 2, maxPauseMs);
  }
  // This thread may have been off the CPU for long: what counts is the device's state after the deadline.
  if (condition()) return;
  const state = options.state === undefined ? "" : `; device state: ${options.state()}`;
  throw new VfioError(`waited ${timeoutMs} ms for ${options.what} on ${options.subject}${state}`, {
    code: "ETIMEDOUT",
    errno: 110,
    operation: options.what,
    subject: options.subject,
  });
}
