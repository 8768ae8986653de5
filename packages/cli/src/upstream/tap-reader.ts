import { identify, type TestIdentity, type TestOutcome } from "@vfio-selftests/harness";

/** What the reader tells as it reads. */
export interface TapEvents {
  started(test: TestIdentity): void;
  finished(test: TestOutcome): void;
}

const RUN = /^#\s+RUN\s+(\S+) \.\.\.$/;
const RESULT = /^(not ok|ok) \d+ (?:- )?(\S+)(?:\s+#\s*(\w+)\s*(.*))?$/;
const PLAN = /^1\.\.(\d+)(?:\s+#\s*SKIP\s*(.*))?$/;
/** What the harness says about every test, and about the run: no news for a report. */
const ROUTINE = /^#\s+(?:OK|FAIL|SKIP|RUN|PASSED:|FAILED:|Starting|Totals:|Planned)/;
/** The harness tells no remedy. */
const REMEDY = "see the C suite's own text";

/**
 * Reads the output of one program on the kernel's C harness (tools/testing/selftests/kselftest_harness.h): TAP version 13
 * whose comments before a result belong to that test.
 */
export class TapReader {
  /** Tests that the program said it would run; undefined before it did. */
  planned: number | undefined;
  /** Why the program skipped everything (`1..0 # SKIP`). */
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

  /** Takes one line, without its end. */
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
    // An expected failure is none (KSFT_XFAIL).
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
