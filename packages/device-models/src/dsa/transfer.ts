import type { Outcome } from "./completion-record";

/** What one operation does with memory, a slice at a time. */
export interface Transfer {
  /** Bytes of budget that a byte of this operation costs; what a copy costs is 1. */
  readonly weight: number;
  /** Processes at most `bytes` more bytes. The outcome when it has ended, undefined when there is more to do. */
  advance(bytes: number): Outcome | undefined;
}
