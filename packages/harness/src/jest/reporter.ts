import { CLEAR_LINE } from "../formats/default-format";
import { openReports, type Report, type Reports } from "../formats/open-reports";
import type { ReportFormat, RunPlan } from "../formats/report-format";
import { EXIT_CODES, exitCodeOf } from "../outcome/run-outcome";
import { identify } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { runState, testKey } from "./run-state";
import { type JestTestResult, outcomeOf } from "./test-result";

export interface HarnessReporterOptions {
  /** Which formats to write, and where; the default is the human one on standard output. */
  readonly reports?: readonly Report[];
  readonly plan?: Partial<RunPlan>;
}

interface JestTestFileResult {
  readonly testFilePath: string;
  readonly testResults: readonly JestTestResult[];
  readonly testExecError?: ExecError | null;
}

/** Why a test file did not run. */
interface ExecError {
  readonly message?: string;
  readonly stack?: string;
}

/** A jest reporter that feeds the formats. Use: `reporters: [["@vfio-selftests/harness/reporter", { reports: [...] }]]`. */
export default class HarnessReporter {
  readonly #started = performance.now();
  readonly #tests: TestOutcome[] = [];
  readonly #errors: string[] = [];
  readonly #reports: NonNullable<HarnessReporterOptions["reports"]>;
  readonly #plan: Partial<RunPlan>;
  #opened: Reports | undefined;
  #files = 0;

  constructor(_globalConfig: unknown, options: HarnessReporterOptions = {}) {
    this.#reports = options.reports ?? [{ format: "default" }];
    this.#plan = options.plan ?? {};
  }

  onRunStart(results: { readonly numTotalTestSuites: number }): void {
    Object.assign(runState(), { size: undefined, outcome: undefined });
    // jest's own reporters clear its "Determining test suites to run...".
    if (process.stderr.isTTY) process.stderr.write(CLEAR_LINE);
    this.#files = results.numTotalTestSuites;
  }

  onTestCaseStart(_test: unknown, start: { readonly ancestorTitles: readonly string[]; readonly title: string }): void {
    const identity = identify([...start.ancestorTitles, start.title]);
    for (const format of this.#open()) format.started?.(identity);
  }

  onTestCaseResult(_test: unknown, result: JestTestResult): void {
    const outcome = outcomeOf(result);
    this.#tests.push(outcome);
    for (const format of this.#open()) format.finished?.(outcome);
  }

  onTestFileResult(_test: unknown, result: JestTestFileResult): void {
    const error = result.testExecError;
    if (error !== undefined && error !== null) this.#errors.push(describeError(result.testFilePath, error));
    // jest tells no reporter of a test that its source marks as skipped, and gives it the status of one that a filter left out.
    const { marked } = runState();
    for (const test of result.testResults) {
      if (marked.delete(testKey([...test.ancestorTitles, test.title]))) this.onTestCaseResult(undefined, test);
    }
  }

  onRunComplete(): void {
    const run = { tests: this.#tests, errors: this.#errors, durationMs: performance.now() - this.#started };
    runState().outcome = run;
    for (const format of this.#open()) format.end(run);
    this.#opened?.[Symbol.dispose]();
  }

  /** jest asks this for its own exit code. */
  getLastError(): Error | undefined {
    const { outcome } = runState();
    return outcome === undefined || exitCodeOf(outcome) !== EXIT_CODES.failed ? undefined : new Error("tests failed");
  }

  /** The formats start with the first test: only then the file's tests have been counted. */
  #open(): readonly ReportFormat[] {
    const size = this.#files === 1 ? runState().size : undefined;
    const plan: RunPlan = { headline: [], size, defaultMode: "default", device: undefined, ...this.#plan };
    return (this.#opened ??= openReports(this.#reports, plan)).formats;
  }
}

/** A VfioError says what is wrong and what to do, without the place in the source that another error needs. */
function describeError(file: string, { message, stack }: ExecError): string {
  if (message !== undefined && stack?.startsWith("VfioError:") === true) return message;
  return `${file}: ${stack ?? message ?? "did not run"}`;
}
