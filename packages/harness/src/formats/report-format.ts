import type { Durations } from "../outcome/deal";
import type { RunOutcome } from "../outcome/run-outcome";
import type { Shard } from "../outcome/shard";
import type { TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";

export interface RunSize {
  readonly tests: number;
  /** Fixture-and-variant pairs among them. */
  readonly cases: number;
  /** All tests of the run in their order, of which this process may run a part. */
  readonly all?: readonly TestIdentity[];
  /** Where these are one of several shards: the tests of all shards, in their order. */
  readonly unsharded?: readonly TestIdentity[];
}

/** What is known before the first test. */
export interface RunPlan {
  /** Lines that say what the run is about: target, devices, modes. */
  readonly headline: readonly string[];
  /** How much will run; undefined when nobody counted. */
  readonly size: RunSize | undefined;
  /** The mode of tests whose id names none. */
  readonly defaultMode: string;
  /** The device of tests whose titles name none (a run on one device). */
  readonly device: string | undefined;
  /** The release of the kernel that the tests exercise. */
  readonly kernel?: string | undefined;
  /** The words of the command that repeats the run, after the program's name, without its choice of tests. */
  readonly command?: readonly string[] | undefined;
  /** Which part of the tests this run is. Undefined: all. */
  readonly shard?: Shard | undefined;
  /** Whether the report for people shows every test, id and note, and not only sums. */
  readonly verbose?: boolean | undefined;
  /** How long tests took earlier, by which a terminal shows the time left. */
  readonly durations?: Durations | undefined;
}

/** Where a format writes. */
export interface ReportSink {
  /** Appends text to the report. */
  write(text: string): void;
  /** Whether a person watches: lines may be overwritten. */
  readonly interactive: boolean;
  /** The terminal's columns, when it is one. */
  readonly columns?: number | undefined;
  /** Whether it shows colour. */
  readonly colour?: boolean | undefined;
}

/** One way to report a run. It receives the events in order. */
export interface ReportFormat {
  /** A test begins. */
  started?(test: TestIdentity): void;
  /** A test has ended. */
  finished?(test: TestOutcome): void;
  /** Shows what is being done to a person who watches a run of several machines. */
  underWay?(text: string): void;
  /** The run has ended: the format writes what it has left. */
  end(run: RunOutcome): void;
}

/** Makes a format that writes one run's report to the sink. */
export type ReportFormatFactory = (sink: ReportSink, plan: RunPlan) => ReportFormat;
