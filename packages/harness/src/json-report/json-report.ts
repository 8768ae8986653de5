import type { Totals } from "../outcome/run-outcome";
import type { Shard } from "../outcome/shard";
import type { SkipReason } from "../outcome/skip";
import type { TestStatus } from "../outcome/test-outcome";

/** The version of the JSON report. A reader refuses any other: it would lose what it does not know. */
export const REPORT_VERSION = 1;

/** What `--reporter json` writes. Fields that do not apply are absent. */
export interface JsonReport extends RunFacts {
  /** {@link REPORT_VERSION}. Reports of before there were versions lack it. */
  readonly version?: number;
  /** Of a merged report: the runs whose results it holds, in the order of their shards and times. */
  readonly runs?: readonly RunFacts[];
  /** How many tests passed, failed and skipped. */
  readonly totals: Totals;
  /** The exit code of the run's process. */
  readonly exitCode: number;
  /** All tests of the run in their order, where it is one of several shards or did not run them all. */
  readonly planned?: readonly PlannedTest[];
  /** The results, in the order in which the tests ended. */
  readonly tests: readonly JsonTest[];
}

/** What a report tells of a run beside its tests. */
export interface RunFacts {
  /** What was tested, a line each. */
  readonly target: readonly string[];
  /** The kernel's release, `7.3.4`. Absent where the run did not exercise a kernel. */
  readonly kernel?: string;
  /** The device of all tests, where their titles name none. */
  readonly device?: string;
  /** The words of the command that repeats the run, after the program's name, without its choice of tests. */
  readonly command?: readonly string[];
  /** When the run began: `2026-11-22T03:00:00.000Z`. */
  readonly started?: string;
  /** Which part of the tests the run was. Absent: all. */
  readonly shard?: Shard;
  /** Milliseconds from the run's begin to its end. */
  readonly durationMs: number;
  /** What went wrong outside any test. */
  readonly errors: readonly string[];
  /** Lines that belong to the run as a whole and fail nothing. */
  readonly notes?: readonly string[];
}

/** A test of the run, whether it ran or not. */
export interface PlannedTest {
  /** `fixture.variant.test`. */
  readonly id: string;
  /** Absent where the titles name none. */
  readonly device?: string;
  /** The IOMMU mode. */
  readonly mode: string;
}

/** One test's result. */
export interface JsonTest {
  /** `fixture.variant.test`. */
  readonly id: string;
  /** The device that the title names. Absent where the run has one device. */
  readonly device?: string;
  /** The IOMMU mode. */
  readonly mode: string;
  /** The verdict. */
  readonly status: TestStatus;
  /** From 1, in a run that repeats its tests. */
  readonly repetition?: number;
  /** Milliseconds, hooks included. */
  readonly durationMs: number;
  /** With status `skipped`: why, and what to do. */
  readonly skip?: SkipReason;
  /** With status `failed`: one text per error. */
  readonly failures?: readonly string[];
  /** What the test said with `note` and `notChecked`. */
  readonly notes?: readonly string[];
  /** In a merged report: the index in `runs` of the run that gave this result. Absent where no run gave one (MISS). */
  readonly run?: number;
}
