import { identify, type TestIdentity, type TestOutcome } from "@vfio-selftests/harness";

/** What the reader reports as it reads. */
export interface TapEvents {
  started(test: TestIdentity): void;
  finished(test: TestOutcome): void;
}

const RUN = /^#\s+RUN\s+(\S+) \.\.\.$/;
const RESULT = /^(not ok|ok) \d+ (?:- )?(\S+)(?:\s+#\s*(\w+)\s*(.*))?$/;
const PLAN = /^1\.\.(\d+)(?:\s+#\s*SKIP\s*(.*))?$/;
/** Lines that the harness prints for every test and run. They say nothing new. */
const ROUTINE = /^#\s+(?:OK|FAIL|SKIP|RUN|PASSED:|FAILED:|Starting|Totals:|Planned)/;
/** The harness gives no remedy. */
const REMEDY = "see the C suite's own text";

/**
 * Reads the output of one program on the kernel's C harness (tools/testing/selftests/kselftest_harness.h). The output
 * is TAP version 13, and comments before a result belong to that test.
 */
export class TapReader {
  /** How many tests the program plans to run; undefined before it says so. */
  planned: number | undefined;
  /** The reason of a program that skipped everything (`1..0 # SKIP`). */
  skippedAll: string | undefined;
  finished = 0;
  readonly #events: TapEvents;
  readonly #device: string | undefined;
  #comments: string[] = [];
  #startedAt = 0;

  constructor(events: TapEvents, device: string | undefined) {
    this.#events = events;
    this.#device = device;
  }

  /** Reads one line, without its line end. */
  read(line: string): void {
    const plan = PLAN.exec(line);
    if (plan !== null) {
      this.planned = Number(plan[1]);
      if (this.planned === 0) this.skippedAll = plan[2] ?? "";
      return;
    }
    const run = RUN.exec(line);
    if (run?.[1] !== undefined) {
      this.#comments = [];
      this.#startedAt = performance.now();
      this.#events.started(this.#identity(run[1]));
      return;
    }
    const result = RESULT.exec(line);
    if (result?.[2] !== undefined) {
      this.#finish(result[2], result[1] === "ok", result[3]?.toUpperCase(), result[4] ?? "");
      return;
    }
    if (line.startsWith("#") && !ROUTINE.test(line)) this.#comments.push(line.replace(/^#\s?/, ""));
  }

  #finish(id: string, ok: boolean, directive: string | undefined, text: string): void {
    const skipped = directive === "SKIP";
    // An expected failure (KSFT_XFAIL) is no failure.
    const failed = !ok && directive !== "XFAIL" && !skipped;
    this.finished += 1;
    this.#events.finished({
      ...this.#identity(id),
      status: failed ? "failed" : skipped ? "skipped" : "passed",
      durationMs: performance.now() - this.#startedAt,
      skip: skipped ? { reason: text === "" ? "the program gave no reason" : text, remedy: REMEDY } : undefined,
      failures: failed ? [this.#comments.join("\n") || "the program said no more"] : [],
      notes: [],
    });
    this.#comments = [];
  }

  #identity(id: string): TestIdentity {
    return { ...identify(id.split(".")), device: this.#device };
  }
}
