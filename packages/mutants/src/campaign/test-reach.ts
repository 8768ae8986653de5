/** Which mutants a test passed: one line of the record. */
export interface TestReach {
  readonly test: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly durationMs: number;
  /** Mutants in whose place the test was, and the fault would have changed nothing. */
  readonly reached: readonly number[];
  /** Mutants that would have made a difference: only those can the test notice. */
  readonly differs: readonly number[];
}
