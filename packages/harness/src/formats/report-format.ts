import type { RunOutcome } from "../outcome/run-outcome";
import type { TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";

/** What is known before the first test. */
export interface RunPlan {
  /** Lines that say what the run is about: target, devices, modes. */
  readonly headline: readonly string[];
  /** Number of tests that will run, and of fixture-and-variant pairs among them; undefined when nobody counted. */
  readonly size: { readonly tests: number; readonly cases: number } | undefined;
  /** The mode of tests whose id names none. */
  readonly defaultMode: string;
  /** The device of tests whose titles name none (a run on one device). */
  readonly device: string | undefined;
  /** All tests of the run in their order, of which this process may run a part. */
  readonly tests?: readonly TestIdentity[];
}

/** Where a format writes. */
export interface ReportSink {
  write(text: string): void;
  /** Whether a person watches: lines may be overwritten. */
  readonly interactive: boolean;
  /** Of the terminal, when it is one. */
  readonly columns?: number | undefined;
}

/** One way to tell a run, fed in the order of events. */
export interface ReportFormat {
  started?(test: TestIdentity): void;
  finished?(test: TestOutcome): void;
  /** What is being done, for a person who watches a run of several machines. */
  underWay?(text: string): void;
  end(run: RunOutcome): void;
}

export type ReportFormatFactory = (sink: ReportSink, plan: RunPlan) => ReportFormat;
