import {
  BEGIN_MARK,
  describeReport,
  END_MARK,
  failureMark,
  judge,
  KernelWatch,
  lostNotes,
  machineSettled,
  restoreLeftovers,
  type RunEvent,
  type RunPlan,
  RunReport,
  type TestIdentity,
  type TestOutcome,
  type TestStart,
} from "@vfio-selftests/harness";
import { TestProcess } from "./test-process";
import type { JestOutcome, JestRun } from "./test-run";

/** Milliseconds beyond its limit after which a test is ended from outside: jest gives up before on one that does not block. */
const GRACE_MS = 5000;
/** Milliseconds without any test: loading, hooks of a whole block. An emulated machine is slow. */
const IDLE_MS = 300_000;
/** Repetitions that one process does: what jest keeps of each test must not grow without end. */
const BATCH = 50;

/** Why a process is ended. */
type Ending =
  | { readonly kind: "overran"; readonly limitMs: number }
  | { readonly kind: "idle" }
  | { readonly kind: "timeout"; readonly timeoutMs: number }
  | { readonly kind: "interrupted"; readonly signal: NodeJS.Signals };

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs processes that run tests, one after the other, until all is done; ends what does not end by itself. */
export class Supervisor implements Disposable {
  readonly #run: Required<Pick<JestRun, "repeat" | "bail">> & JestRun;
  readonly #report: RunReport;
  readonly #kernel: KernelWatch | undefined;
  readonly #deadline: NodeJS.Timeout | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #process: TestProcess | undefined;
  #ending: Ending | undefined;
  /** What the process was doing when it was ended. */
  #lastSeen: readonly string[] = [];
  /** Tests of one repetition. */
  #count = 0;
  /** Repetitions that are done with. */
  #repetitions = 0;
  /** The place of the next test behind those. */
  #next = 0;
  #running: (TestStart & { readonly since: number }) | undefined;
  #previous: TestIdentity | undefined;
  #failed = false;
  /** No process may follow: the last one did not come to a test. */
  #stuck = false;

  constructor(run: JestRun) {
    this.#run = { repeat: 1, bail: false, ...run };
    this.#report = new RunReport(run.reports, run.plan);
    this.#kernel = run.kernelLog === undefined ? undefined : new KernelWatch(run.kernelLog);
    const { timeoutMs } = run;
    if (timeoutMs !== undefined)
      this.#deadline = setTimeout(() => this.#end({ kind: "timeout", timeoutMs }), timeoutMs);
    for (const signal of SIGNALS) process.on(signal, this.#interrupt);
  }

  async run(): Promise<JestOutcome> {
    this.#lookOutside("before the first test");
    this.#kernel?.mark(BEGIN_MARK);
    while (this.#isWanted) await this.#runProcess();
    this.#lookOutside(this.#previous === undefined ? "without a test" : `after the last test, ${this.#previous.id}`);
    this.#kernel?.mark(END_MARK);
    this.#tellLeftOut();
    this.#report.ended();
    const interrupted = this.#ending?.kind === "interrupted" ? this.#ending.signal : undefined;
    return { ...this.#report.outcome, interrupted };
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#watchdog);
    for (const signal of SIGNALS) process.off(signal, this.#interrupt);
    this.#kernel?.[Symbol.dispose]();
  }

  readonly #interrupt = (signal: NodeJS.Signals): void => this.#end({ kind: "interrupted", signal });

  /** Whether there is more to run. */
  get #isWanted(): boolean {
    const { repeat, bail } = this.#run;
    if (this.#stuck || this.#isEnded || (bail && this.#failed)) return false;
    // Tests that are all skipped, or none at all, would be repeated without end.
    const { tests } = this.#report;
    if (repeat === Infinity && this.#repetitions > 0 && tests.every(({ status }) => status === "skipped")) return false;
    return this.#repetitions < repeat;
  }

  get #isEnded(): boolean {
    return this.#ending?.kind === "interrupted" || this.#ending?.kind === "timeout";
  }

  /** One process, as far as it comes. */
  async #runProcess(): Promise<void> {
    const { entry, target, filter, part, gcov, bail, testTimeoutMs, kernelLog } = this.#run;
    const from = this.#next;
    const repeat = Math.min(BATCH, this.#run.repeat - this.#repetitions);
    const environment = {
      ...{ filter, target, repeat, from, bail },
      ...(part !== undefined && { part }),
      ...(gcov !== undefined && { gcov }),
      ...(testTimeoutMs !== undefined && { testTimeoutMs }),
      ...(this.#kernel !== undefined && { kernelLog: { ...kernelLog, after: this.#kernel.position } }),
    };
    this.#ending = undefined;
    this.#watch(IDLE_MS, { kind: "idle" });
    this.#process = new TestProcess({ entry, environment }, (event) => this.#receive(event, repeat));
    const { pid } = this.#process;
    const how = await this.#process.ended;
    clearTimeout(this.#watchdog);
    this.#process = undefined;
    if (how === undefined && this.#running === undefined) {
      this.#repetitions += repeat;
      this.#next = 0;
      return;
    }
    this.#tellEnd(how ?? "ended in the middle of a test");
    await this.#putBack(pid);
    // A process that does not come to its first test will not do so the next time.
    this.#stuck = this.#next === from;
    this.#repetitions += Math.floor(this.#next / Math.max(this.#count, 1));
    this.#next %= Math.max(this.#count, 1);
  }

  /** A process has ended before its tests had: the test that ran has failed. */
  #tellEnd(how: string): void {
    const why = [this.#reason(how), ...this.#lastSeen].join("\n");
    this.#lastSeen = [];
    const running = this.#running;
    if (running === undefined) {
      this.#fail(this.#previous === undefined ? why : `${why} (after ${this.#previous.id})`);
      return;
    }
    const { failures, notes } = this.#kernel === undefined ? NOTHING_SAID : judge(this.#kernel.take());
    this.#kernel?.mark(failureMark(running.test.id));
    this.#finish({
      ...running.test,
      status: "failed",
      durationMs: performance.now() - running.since,
      skip: undefined,
      failures: [why, ...failures],
      notes,
    });
  }

  #reason(how: string): string {
    const ending = this.#ending;
    // The one that was told to end and does not is worth a word.
    const held = how.startsWith("was ended") ? "" : `; the process ${how}`;
    switch (ending?.kind) {
      case undefined:
        return `the process that ran the tests ${how}`;
      case "overran":
        return `the test did not end within its limit of ${ending.limitMs / 1000} s: ended from outside${held}`;
      case "idle":
        return `nothing happened outside any test for ${IDLE_MS / 1000} s: ended${held}`;
      case "timeout":
        return `the run's time of ${ending.timeoutMs / 1000} s was over${held}`;
      case "interrupted":
        return `interrupted by ${ending.signal}${held}`;
    }
  }

  /** What the ended process changed on the machine goes back before other tests run. */
  async #putBack(pid: number): Promise<void> {
    if (await machineSettled(pid)) return;
    for (const { path, error } of restoreLeftovers()) {
      if (error !== undefined) this.#fail(`${path} could not be put back: ${error}`);
    }
  }

  #receive(event: RunEvent, repeat: number): void {
    if (event.kernelLog !== undefined) this.#kernel?.skipTo(event.kernelLog);
    switch (event.kind) {
      case "counted":
        if (event.size !== undefined) this.#countTests(event.size, repeat);
        break;
      case "started":
        this.#running = { ...event, since: performance.now() };
        this.#previous = event.test;
        this.#next = event.index;
        this.#watch(event.limitMs + GRACE_MS, { kind: "overran", limitMs: event.limitMs });
        this.#report.started(event.test);
        break;
      case "finished":
        this.#finish(event.test);
        this.#watch(IDLE_MS, { kind: "idle" });
        break;
      case "failed":
        this.#fail(event.error);
        break;
      case "ended":
        break;
    }
  }

  #countTests(size: NonNullable<RunPlan["size"]>, repeat: number): void {
    this.#count = size.tests / repeat;
    if (this.#run.repeat !== Infinity) this.#report.counted({ ...size, tests: this.#count * this.#run.repeat });
  }

  #finish(test: TestOutcome): void {
    if (test.status === "failed") this.#failed = true;
    const repetition = this.#repetitions + Math.floor(this.#next / Math.max(this.#count, 1)) + 1;
    this.#report.finished(this.#run.repeat === 1 ? test : { ...test, repetition });
    // A test that its source marks as skipped was never started.
    if (this.#running !== undefined) this.#next += 1;
    this.#running = undefined;
  }

  #fail(error: string): void {
    this.#failed = true;
    this.#report.failed(error);
  }

  #watch(ms: number, ending: Ending): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#end(ending), ms);
  }

  #end(ending: Ending): void {
    // Who ends the run has the last word.
    if (this.#isEnded) return;
    clearTimeout(this.#watchdog);
    this.#ending = ending;
    this.#lastSeen = ending.kind === "interrupted" ? [] : (this.#process?.describe() ?? []);
    if (this.#process === undefined) this.#fail(this.#reason("was ended"));
    else this.#process.kill(ending.kind === "interrupted" ? ending.signal : "SIGKILL");
  }

  /** What the kernel said while no test ran fails the run. */
  #lookOutside(when: string): void {
    if (this.#kernel === undefined) return;
    const { reports, lost } = this.#kernel.take();
    for (const report of reports) this.#fail(`the kernel reported ${when}: ${describeReport(report)}`);
    for (const line of lostNotes(lost)) this.#report.noted(line);
  }

  #tellLeftOut(): void {
    const { repeat } = this.#run;
    const ran = this.#report.tests.length;
    if (repeat === Infinity)
      this.#report.noted(`${ran} tests ran, ${Math.ceil(ran / Math.max(this.#count, 1))} times the chosen ones`);
    else if (this.#count * repeat > ran)
      this.#report.noted(`${this.#count * repeat - ran} of ${this.#count * repeat} tests did not run`);
  }
}

const NOTHING_SAID = { failures: [], notes: [] } as const;
