import type { SkipReason } from "./skip";
import type { TestIdentity } from "./test-identity";

/** How a test ended. */
export type TestStatus = "passed" | "failed" | "skipped";

/** A finished test. */
export interface TestOutcome extends TestIdentity {
  /** The verdict. */
  readonly status: TestStatus;
  /** Milliseconds, hooks included. */
  readonly durationMs: number;
  /** The number of this repetition, from 1, in a run that repeats its tests. */
  readonly repetition?: number;
  /** With status `skipped`. */
  readonly skip: SkipReason | undefined;
  /** With status `failed`: one text per error. */
  readonly failures: readonly string[];
  /** What the test said with `note` and `notChecked`. */
  readonly notes: readonly string[];
}
