import type { RunOutcome } from "../outcome/run-outcome";
import type { TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { REPORT_FORMATS, type ReportFormatName } from "./formats";
import type { ReportFormat, ReportSink, RunPlan } from "./report-format";
import { fileSink, standardOutput } from "./report-sink";

/** Who is told how a run goes on. */
export interface RunListener {
  /** How much there is; undefined when nobody counted. Before the first test. */
  counted(size: RunPlan["size"]): void;
  started(test: TestIdentity): void;
  finished(test: TestOutcome): void;
  /** Something went wrong outside any test. */
  failed(error: string): void;
  ended(): void;
}

/** A format, and the file that it goes to; without one to standard output. */
export interface Report {
  readonly format: ReportFormatName;
  readonly file?: string;
}

/** Collects a run and feeds it to the formats. */
export class RunReport implements RunListener {
  readonly #reports: readonly Report[];
  readonly #plan: Partial<RunPlan>;
  readonly #started = performance.now();
  readonly #tests: TestOutcome[] = [];
  readonly #errors: string[] = [];
  readonly #notes: string[] = [];
  readonly #close: (() => void)[] = [];
  #size: RunPlan["size"];
  #formats: readonly ReportFormat[] | undefined;

  constructor(reports: readonly Report[], plan: Partial<RunPlan> = {}) {
    this.#reports = reports;
    this.#plan = plan;
  }

  get tests(): readonly TestOutcome[] {
    return this.#tests;
  }

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
    for (const close of this.#close) close();
  }

  /** The formats start with the first test: only then the tests have been counted. */
  #open(): readonly ReportFormat[] {
    const plan: RunPlan = {
      headline: [],
      size: this.#size,
      defaultMode: "default",
      device: undefined,
      ...this.#plan,
    };
    return (this.#formats ??= this.#reports.map(({ format, file }) => {
      return REPORT_FORMATS[format](file === undefined ? standardOutput() : this.#fileSink(file), plan);
    }));
  }

  #fileSink(path: string): ReportSink {
    const sink = fileSink(path);
    this.#close.push(() => sink.close());
    return sink;
  }
}
