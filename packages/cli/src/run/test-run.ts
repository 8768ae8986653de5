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
  /** Of the tests that the filter wants, those of this process. Default: all. */
  readonly part?: TestPart | undefined;
  /** Gets what the kernel ran in each test. */
  readonly gcov?: string | undefined;
  readonly plan: Partial<RunPlan>;
  readonly reports: readonly Report[];
  /** How many times; `Infinity` together with `bail`. Default 1. */
  readonly repeat?: number;
  /** No test runs after one that failed. */
  readonly bail?: boolean;
  /** Milliseconds of every test, whatever its own limit. */
  readonly testTimeoutMs?: number | undefined;
  /** Milliseconds of the whole run. Default: no limit. */
  readonly timeoutMs?: number | undefined;
  /** What the kernel says fails tests. Default: nobody looks. */
  readonly kernelLog?: KernelWatchOptions | undefined;
}

export interface JestOutcome extends RunOutcome {
  /** The signal that ended the run before its time. */
  readonly interrupted: NodeJS.Signals | undefined;
}
