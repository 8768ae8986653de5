import { fullId, type TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import type { ReportSink, RunPlan } from "./report-format";
import { TimeLeft } from "./time-left";

/** Milliseconds between two redraws, which show the time left. */
const TICK_MS = 1000;
const USUAL_COLUMNS = 80;
export const CLEAR_LINE = "\r\u001b[K";

/** The last line of a terminal while the tests run: how far the run is, and which test runs. Elsewhere there is none. */
export class LiveLine {
  readonly #sink: ReportSink;
  readonly #total: string;
  readonly #time: TimeLeft;
  #done = 0;
  #failed = 0;
  #ticking: NodeJS.Timeout | undefined;

  constructor(sink: ReportSink, { size, durations = {} }: RunPlan) {
    this.#sink = sink;
    this.#total = size === undefined ? "" : `/${size.tests}`;
    this.#time = new TimeLeft(size, durations);
  }

  started(test: TestIdentity): void {
    if (!this.#sink.interactive) return;
    this.#time.started(test);
    this.#draw(test);
    clearInterval(this.#ticking);
    this.#ticking = setInterval(() => this.#draw(test), TICK_MS).unref();
  }

  /** Also clears the line. */
  finished(test: TestOutcome): void {
    this.clear();
    this.#time.finished(test);
    this.#done += 1;
    if (test.status === "failed") this.#failed += 1;
  }

  show(text: string): void {
    // A longer line would wrap, and could not be cleared.
    if (this.#sink.interactive) this.#sink.write(`${CLEAR_LINE}${text.slice(0, columnsOf(this.#sink) - 1)}`);
  }

  clear(): void {
    clearInterval(this.#ticking);
    if (this.#sink.interactive) this.#sink.write(CLEAR_LINE);
  }

  #draw(test: TestIdentity): void {
    const failed = this.#failed === 0 ? undefined : `${this.#failed} failed`;
    const facts = [`${this.#done + 1}${this.#total}`, failed, this.#time.text];
    this.show(`${facts.filter((fact) => fact !== undefined).join(", ")}: ${fullId(test)}`);
  }
}

export function columnsOf({ columns }: ReportSink): number {
  return columns ?? USUAL_COLUMNS;
}
