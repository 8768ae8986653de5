import {
  fileSink,
  REPORT_FORMATS,
  type ReportFormat,
  type ReportFormatName,
  type ReportSink,
  type RunOutcome,
  totalsLine,
  totalsOf,
} from "@vfio-selftests/harness";
import type { CheckResult } from "@vfio-selftests/vfio-user/conformance";
import { wrapText } from "../terminal/wrap-text";
import { outcomeOf } from "./check-outcome";

interface Options {
  readonly server?: string;
  readonly reporter: ReportFormatName;
  readonly output?: string;
}

const WORDS = { pass: "pass", fail: "FAIL", skip: "skip" } as const;
/** The widest id that leaves room for a verdict. */
const INDENT = "      ";

/**
 * Reports while the checks are made. The report for people is a table of 80 columns of its own, with a line for each check and the
 * sections as headings; all others are those of `run`.
 */
export class ConformanceReport {
  readonly #options: Options;
  readonly #sink: ReportSink & { close(): void };
  readonly #format: ReportFormat | undefined;
  readonly #count: number;
  #made = 0;
  #section = "";
  #reason: string | undefined;

  constructor(options: Options, count: number) {
    const { reporter, output, server } = options;
    this.#options = options;
    this.#count = count;
    this.#sink = output === undefined ? standardOutput() : fileSink(output);
    const headline = `Conformance with the vfio-user specification, version 0.0: ${server === undefined ? "a client" : `the server at ${server}`}`;
    if (reporter === "default") {
      for (const line of wrapText("", headline)) this.#line(line);
    } else {
      this.#format = REPORT_FORMATS[reporter](this.#sink, {
        headline: [headline],
        size: undefined,
        defaultMode: "vfio-user",
        device: undefined,
      });
    }
  }

  add(result: CheckResult): void {
    this.#made += 1;
    if (this.#format !== undefined) {
      this.#format.finished?.(outcomeOf(result, this.#options));
      if (process.stderr.isTTY)
        process.stderr.write(`\r\u001b[K${this.#made}/${this.#count} ${result.id}`.slice(0, 80));
      return;
    }
    if (result.section !== this.#section) {
      this.#section = result.section;
      this.#line(`\n${result.section}`);
    }
    this.#line(`  ${WORDS[result.verdict]}  ${result.id}`);
    const reason = result.verdict === "skip" ? result.reason : undefined;
    // One reason for many checks, a server that has gone, is told once.
    if (reason === undefined || reason !== this.#reason) for (const line of details(result)) this.#line(line);
    this.#reason = reason;
  }

  end(outcome: RunOutcome): void {
    if (this.#format === undefined) this.#line(`\n${totalsLine(totalsOf(outcome.tests))}`);
    else {
      if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
      this.#format.end(outcome);
    }
    this.#sink.close();
  }

  #line(text: string): void {
    this.#sink.write(`${text}\n`);
  }
}

function details(result: CheckResult): readonly string[] {
  switch (result.verdict) {
    case "pass":
      return [];
    case "fail":
      return [...wrapText(`${INDENT}expected  `, result.expected), ...wrapText(`${INDENT}came      `, result.came)];
    case "skip":
      return [...wrapText(`${INDENT}because   `, result.reason), ...wrapText(`${INDENT}remedy    `, result.remedy)];
  }
}

function standardOutput(): ReportSink & { close(): void } {
  return { write: (text) => void process.stdout.write(text), interactive: false, close: () => undefined };
}
