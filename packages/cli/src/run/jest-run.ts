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
import { Supervisor } from "./supervisor";

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

/**
 * Runs the tests in a process of their own, which this one watches. A test that takes its process with it, or does not come
 * back, fails, and the run goes on with the next test in a new process.
 */
export async function runJest(run: JestRun): Promise<JestOutcome> {
  using supervisor = new Supervisor(run);
  return await supervisor.run();
}
