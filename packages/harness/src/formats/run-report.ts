import type { RunOutcome } from "../outcome/run-outcome";
import type { TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { openReports, type Report, type Reports } from "./open-reports";
import type { ReportFormat, RunPlan } from "./report-format";

/** Receives the events of a run. */
export interface RunListener {
  /** How many tests there are; undefined when nobody counted. Comes before the first test. */
  counted(size: RunPlan["size"]): void;
  /** A test begins. */
  started(test: TestIdentity): void;
  /** A test has ended. */
  finished(test: TestOutcome): void;
  /** Something went wrong outside any test. */
  failed(error: string): void;
  /** The run has ended. Nothing follows. */
  ended(): void;
}

/** Collects a run and feeds it to the formats. */
export class RunReport implements RunListener {
  readonly #reports: readonly Report[];
  readonly #plan: Partial<RunPlan>;
  readonly #started = performance.now();
  readonly #tests: TestOutcome[] = [];
  readonly #errors: string[] = [];
  readonly #notes: string[] = [];
  #size: RunPlan["size"];
  #opened: Reports | undefined;

  /** `plan` is what is known before the first test. Writes nothing yet. */
  constructor(reports: readonly Report[], plan: Partial<RunPlan> = {}) {
    this.#reports = reports;
    this.#plan = plan;
  }

  /** The finished tests, in the order in which they ended. */
  get tests(): readonly TestOutcome[] {
    return this.#tests;
  }

  /** The run as it is now. */
  get outcome(): RunOutcome {
    const durationMs = performance.now() - this.#started;
    return { tests: this.#tests, errors: this.#errors, notes: this.#notes, durationMs };
  }

  counted(size: RunPlan["size"]): void {
    this.#size ??= size;
  }

  started(test: TestIdentity): void {
    for (const format of this.#open()) format.started?.(test);
  }

  finished(test: TestOutcome): void {
    this.#tests.push(test);
    for (const format of this.#open()) format.finished?.(test);
  }

  failed(error: string): void {
    this.#errors.push(error);
  }

  /** A line that belongs to the run as a whole and fails nothing. */
  noted(text: string): void {
    this.#notes.push(text);
  }

  ended(): void {
    for (const format of this.#open()) format.end(this.outcome);
    this.#opened?.[Symbol.dispose]();
  }

  /** The formats start with the first test, because only then the tests have been counted. */
  #open(): readonly ReportFormat[] {
    const plan: RunPlan = {
      headline: [],
      size: this.#size,
      defaultMode: "default",
      device: undefined,
      ...this.#plan,
    };
    // Where no test was to run, a report of none would only replace an earlier one.
    const reports = this.#isEmpty ? this.#reports.filter(({ file }) => file === undefined) : this.#reports;
    return (this.#opened ??= openReports(reports, plan)).formats;
  }

  /** Whether the run has chosen no test, and nothing went wrong. A shard without tests is a part of a run that has some. */
  get #isEmpty(): boolean {
    const chosen = this.#size?.unsharded ?? this.#size?.all;
    return chosen?.length === 0 && this.#errors.length === 0;
  }
}
