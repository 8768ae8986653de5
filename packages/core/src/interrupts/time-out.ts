import { argumentError } from "../errors/vfio-error";

/** How long a wait lasts at most when the caller does not say, in milliseconds. */
export const DEFAULT_WAIT_MS = 5_000;

/** The longest wait one can ask for: what a timer of libuv and Node can count (2^31 - 1 ms, 24 days). */
const LONGEST_WAIT_MS = 0x7fff_ffff;

/** Gives `timeoutMs` back, or throws: every wait is bounded. */
export function checkTimeout(operation: string, timeoutMs: number): number {
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0 && timeoutMs <= LONGEST_WAIT_MS)) {
    throw argumentError(operation, "timeoutMs", timeoutMs, `milliseconds from 0 to ${LONGEST_WAIT_MS}`);
  }
  return timeoutMs;
}
