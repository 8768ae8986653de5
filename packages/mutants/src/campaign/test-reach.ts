/** Which mutants a test reached: one line of the record. */
export interface TestReach {
  readonly test: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly durationMs: number;
  /** Mutants whose place the test ran, but whose fault would have changed nothing. */
  readonly reached: readonly number[];
  /** Mutants that would have made a difference. Only these can the test notice. */
  readonly differs: readonly number[];
}
