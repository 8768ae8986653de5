import { CLEAR_LINE } from "../formats/live-line";
import type { Report } from "../formats/open-reports";
import type { RunPlan } from "../formats/report-format";
import { type RunListener, RunReport } from "../formats/run-report";
import { EXIT_CODES, exitCodeOf } from "../outcome/run-outcome";
import { identify } from "../outcome/test-identity";
import { RunChannel } from "./run-channel";
import { runState, testKey } from "./run-state";
import { type JestTestResult, outcomeOf } from "./test-result";

/** The second part of the reporter's entry in jest's `reporters`. */
export interface HarnessReporterOptions {
  /** The formats to write, and where. Default: the one for people, on standard output. */
  readonly reports?: readonly Report[];
  /** What is known of the run before its first test. */
  readonly plan?: Partial<RunPlan>;
  /** A descriptor that gets each event instead of reports, for a process that watches this one. */
  readonly channel?: number;
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
export class HarnessReporter {
  readonly #report: RunReport | undefined;
  readonly #listener: RunListener;
  #files = 0;
  #counted = false;

  constructor(_globalConfig: unknown, options: HarnessReporterOptions = {}) {
    const { reports = [{ format: "default" }], plan, channel } = options;
    runState().starting = undefined;
    if (channel === undefined) {
      this.#report = new RunReport(reports, plan);
      this.#listener = this.#report;
    } else {
      const listener = new RunChannel(channel);
      runState().starting = (start) => {
        this.#tellOutside();
        listener.starting(start);
      };
      this.#listener = listener;
    }
  }

  onRunStart(results: { readonly numTotalTestSuites: number }): void {
    Object.assign(runState(), { size: undefined, outcome: undefined });
    // jest's own reporters clear its "Determining test suites to run...".
    if (process.stderr.isTTY) process.stderr.write(CLEAR_LINE);
    this.#files = results.numTotalTestSuites;
  }

  onTestCaseStart(_test: unknown, start: { readonly ancestorTitles: readonly string[]; readonly title: string }): void {
    this.#tellOutside();
    this.#listener.started(identify([...start.ancestorTitles, start.title]));
  }

  onTestCaseResult(_test: unknown, result: JestTestResult): void {
    this.#tellOutside();
    this.#listener.finished(outcomeOf(result));
  }

  onTestFileResult(_test: unknown, result: JestTestFileResult): void {
    const error = result.testExecError;
    if (error !== undefined && error !== null) this.#listener.failed(describeError(result.testFilePath, error));
    // jest announces no test that its source marks as skipped, and gives it the status of one that a filter left out.
    const { marked } = runState();
    for (const test of result.testResults) {
      if (marked.delete(testKey([...test.ancestorTitles, test.title]))) this.onTestCaseResult(undefined, test);
    }
  }

  onRunComplete(): void {
    this.#tellOutside();
    runState().outcome = this.#report?.outcome;
    this.#listener.ended();
  }

  /** jest asks this for its own exit code. */
  getLastError(): Error | undefined {
    const { outcome } = runState();
    return outcome === undefined || exitCodeOf(outcome) !== EXIT_CODES.failed ? undefined : new Error("tests failed");
  }

  /** Passes on what the environment found out and no event of jest's carries. */
  #tellOutside(): void {
    const { size, outside } = runState();
    if (!this.#counted) this.#listener.counted(this.#files === 1 ? size : undefined);
    this.#counted = true;
    for (const error of outside.splice(0)) this.#listener.failed(error);
  }
}

/** Describes an error. A VfioError says what is wrong and what to do, and needs no place in the source. */
function describeError(file: string, { message, stack }: ExecError): string {
  if (message !== undefined && stack?.startsWith("VfioError:") === true) return message;
  return `${file}: ${stack ?? message ?? "did not run"}`;
}
