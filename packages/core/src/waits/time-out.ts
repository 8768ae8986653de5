import { argumentError } from "../errors/vfio-error";

/** The longest wait without a time-out or a signal from the caller, in milliseconds. */
export const DEFAULT_WAIT_MS = 5_000;

/** The longest wait that a caller may ask for, and the longest timer of libuv and Node (2^31 - 1 ms, 24 days). */
export const LONGEST_WAIT_MS = 0x7fff_ffff;

/** The limit of a wait that blocks. */
export interface WaitOptions {
  /** The most milliseconds to wait, 0 to 2^31 - 1. Default 5000. */
  readonly timeoutMs?: number;
}

/** The limit of a wait by promise, and what else ends it. */
export interface AsyncWaitOptions {
  /** The most milliseconds to wait, 0 to 2^31 - 1. Default: 5000 without a signal, no limit with one. */
  readonly timeoutMs?: number;
  /** Ends the wait: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Whether the wait keeps the process alive. Default true. */
  readonly ref?: boolean;
}

/** Returns `timeoutMs`, or throws if it is no bound for a wait. */
export function checkTimeout(operation: string, timeoutMs: number): number {
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0 && timeoutMs <= LONGEST_WAIT_MS)) {
    throw argumentError(operation, "timeoutMs", timeoutMs, `milliseconds from 0 to ${LONGEST_WAIT_MS}`);
  }
  return timeoutMs;
}

/**
 * The bound of a wait on the event loop, in milliseconds. With a signal and no time-out, the signal bounds the wait:
 * Infinity. With neither, the bound is {@link DEFAULT_WAIT_MS}, so that a forgotten bound ends in an error instead of
 * never.
 */
export function waitLimit(operation: string, { timeoutMs, signal }: AsyncWaitOptions): number {
  if (timeoutMs !== undefined) return checkTimeout(operation, timeoutMs);
  return signal === undefined ? DEFAULT_WAIT_MS : Infinity;
}
