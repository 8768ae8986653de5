import type { TestOutcome, TestStatus } from "./test-outcome";

/** A finished run. */
export interface RunOutcome {
  /** The finished tests, in the order in which they ended. */
  readonly tests: readonly TestOutcome[];
  /** What went wrong outside any test: a file that did not load, say. */
  readonly errors: readonly string[];
  /** What belongs to the run as a whole and fails nothing. */
  readonly notes?: readonly string[];
  /** Milliseconds from the run's begin to its end. */
  readonly durationMs: number;
}

/** How many tests ended in which way. */
export type Totals = Readonly<Record<TestStatus, number>>;

/** Counts the tests by their status. */
export function totalsOf(tests: readonly Pick<TestOutcome, "status">[]): Totals {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  for (const { status } of tests) totals[status] += 1;
  return totals;
}

/** The last line of the report for people, which is easy to parse, too. */
export function totalsLine(totals: Totals, paint = (_: TestStatus, text: string): string => text): string {
  const part = (status: TestStatus): string => {
    const text = `${totals[status]} ${status}`;
    return totals[status] === 0 ? text : paint(status, text);
  };
  return [part("passed"), part("failed"), part("skipped")].join(", ");
}

/** The exit codes of a run's process, as the kernel's selftests use them. */
export const EXIT_CODES = {
  passed: 0,
  failed: 1,
  /** Nothing ran: there was no device, or every test skipped (KSFT_SKIP). */
  skipped: 4,
} as const;

interface ExitFacts extends Pick<RunOutcome, "errors"> {
  readonly tests: readonly Pick<TestOutcome, "status">[];
}

/** The exit code of a run with these tests and errors. */
export function exitCodeOf({ tests, errors }: ExitFacts): number {
  const { passed, failed } = totalsOf(tests);
  if (failed > 0 || errors.length > 0) return EXIT_CODES.failed;
  return passed > 0 ? EXIT_CODES.passed : EXIT_CODES.skipped;
}
