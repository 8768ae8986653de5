import type {
  KernelWatchOptions,
  Report,
  RunOutcome,
  RunPlan,
  TargetOptions,
  TestFilter,
  TestPart,
} from "@vfio-selftests/harness";
import type { SuiteEntry } from "./jest-process";

/** What runs, and how. */
export interface JestRun {
  readonly entry: SuiteEntry;
  readonly target: TargetOptions;
  readonly filter: TestFilter;
  /** This process's share of the tests that the filter chooses. Default: all of them. */
  readonly part?: TestPart | undefined;
  /** A folder for the kernel's gcov counters of each test. */
  readonly gcov?: string | undefined;
  readonly plan: Partial<RunPlan>;
  readonly reports: readonly Report[];
  /** How many times the tests run; `Infinity` together with `bail`. Default 1. */
  readonly repeat?: number;
  /** No test runs after one that failed. */
  readonly bail?: boolean;
  /** Limit of every test in milliseconds, instead of its own. */
  readonly testTimeoutMs?: number | undefined;
  /** Limit of the whole run in milliseconds. Default: none. */
  readonly timeoutMs?: number | undefined;
  /** How to watch the kernel's log, whose reports fail tests. Default: the run does not watch it. */
  readonly kernelLog?: KernelWatchOptions | undefined;
}

export interface JestOutcome extends RunOutcome {
  /** The signal that ended the run before its time. */
  readonly interrupted: NodeJS.Signals | undefined;
}
