import { argumentError } from "../errors/vfio-error";

/** How long a wait lasts at most when the caller gives neither a time-out nor a signal, in milliseconds. */
export const DEFAULT_WAIT_MS = 5_000;

/** The longest wait one can ask for: what a timer of libuv and Node can count (2^31 - 1 ms, 24 days). */
export const LONGEST_WAIT_MS = 0x7fff_ffff;

export interface WaitOptions {
  /** Milliseconds to wait at most, 0 to 2^31 - 1; default 5000. */
  readonly timeoutMs?: number;
}

export interface AsyncWaitOptions {
  /** Milliseconds to wait at most, 0 to 2^31 - 1. Default: 5000 without a signal; no limit with one. */
  readonly timeoutMs?: number;
  /** Ends the wait: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Whether the wait keeps the process alive; default true. */
  readonly ref?: boolean;
}

/** Gives `timeoutMs` back, or throws: it is the bound of a wait. */
export function checkTimeout(operation: string, timeoutMs: number): number {
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0 && timeoutMs <= LONGEST_WAIT_MS)) {
    throw argumentError(operation, "timeoutMs", timeoutMs, `milliseconds from 0 to ${LONGEST_WAIT_MS}`);
  }
  return timeoutMs;
}

/**
 * The bound of a wait on the event loop, in milliseconds. A caller who gives a signal and no time-out bounds the wait by
 * the signal: Infinity. A caller who gives neither gets {@link DEFAULT_WAIT_MS}, so that a forgotten bound ends the wait
 * with an error instead of never.
 */
export function waitLimit(operation: string, { timeoutMs, signal }: AsyncWaitOptions): number {
  if (timeoutMs !== undefined) return checkTimeout(operation, timeoutMs);
  return signal === undefined ? DEFAULT_WAIT_MS : Infinity;
}
