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

/**
 * Milliseconds beyond a test's limit before the supervisor ends it. A test that does not block is ended earlier, by
 * jest.
 */
const GRACE_MS = 5000;
/**
 * Milliseconds that may pass without a test: modules load, hooks of a block run. An emulated machine is slow, and some kernels
 * slow it further, by the target's `slowdown`.
 */
const IDLE_MS = 300_000;
/** Repetitions in one process. jest keeps something of each test, so the process's memory would grow without end. */
const BATCH = 50;

/** Why the supervisor ends a process. */
type Ending =
  | { readonly kind: "overran"; readonly limitMs: number }
  | { readonly kind: "idle" }
  | { readonly kind: "timeout"; readonly timeoutMs: number }
  | { readonly kind: "interrupted"; readonly signal: NodeJS.Signals };

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs processes that run tests, one after the other, until all tests are done. Ends a process that hangs. */
export class Supervisor implements Disposable {
  readonly #run: Required<Pick<JestRun, "repeat" | "bail">> & JestRun;
  readonly #report: RunReport;
  readonly #kernel: KernelWatch | undefined;
  readonly #deadline: NodeJS.Timeout | undefined;
  readonly #idleMs: number;
  #watchdog: NodeJS.Timeout | undefined;
  #process: TestProcess | undefined;
  #ending: Ending | undefined;
  /** What the process was doing when it was ended. */
  #lastSeen: readonly string[] = [];
  /** Number of tests in one repetition. */
  #count = 0;
  /** Number of finished repetitions. */
  #repetitions = 0;
  /** Index of the next test, in the repetition that follows them. */
  #next = 0;
  #running: (TestStart & { readonly since: number }) | undefined;
  #previous: TestIdentity | undefined;
  #failed = false;
  /** Whether the last process ended before any test started. No process may follow then. */
  #stuck = false;

  constructor(run: JestRun) {
    this.#run = { repeat: 1, bail: false, ...run };
    this.#report = new RunReport(run.reports, run.plan);
    this.#kernel = run.kernelLog === undefined ? undefined : new KernelWatch(run.kernelLog);
    this.#idleMs = IDLE_MS * run.target.slowdown;
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
    // If every test is skipped, or there is none, the repetition would never end.
    const { tests } = this.#report;
    if (repeat === Infinity && this.#repetitions > 0 && tests.every(({ status }) => status === "skipped")) return false;
    return this.#repetitions < repeat;
  }

  get #isEnded(): boolean {
    return this.#ending?.kind === "interrupted" || this.#ending?.kind === "timeout";
  }

  /** Runs one process, as far as it gets. */
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
    this.#watch(this.#idleMs, { kind: "idle" });
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
    // A process that did not get to its first test would not get there the next time, either.
    this.#stuck = this.#next === from;
    this.#repetitions += Math.floor(this.#next / Math.max(this.#count, 1));
    this.#next %= Math.max(this.#count, 1);
  }

  /** Handles a process that ended before its tests did: the test that was running has failed. */
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
    // The message also says when a process did not end on the signal.
    const held = how.startsWith("was ended") ? "" : `; the process ${how}`;
    switch (ending?.kind) {
      case undefined:
        return `the process that ran the tests ${how}`;
      case "overran":
        return `the test did not end within its limit of ${ending.limitMs / 1000} s: ended from outside${held}`;
      case "idle":
        return `nothing happened outside any test for ${this.#idleMs / 1000} s: ended${held}`;
      case "timeout":
        return `the run's time of ${ending.timeoutMs / 1000} s was over${held}`;
      case "interrupted":
        return `interrupted by ${ending.signal}${held}`;
    }
  }

  /** Puts back what the ended process changed on the machine, before other tests run. */
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
        this.#watch(this.#idleMs, { kind: "idle" });
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
    // Once something has ended the run, the reason stays.
    if (this.#isEnded) return;
    clearTimeout(this.#watchdog);
    this.#ending = ending;
    this.#lastSeen = ending.kind === "interrupted" ? [] : (this.#process?.describe() ?? []);
    if (this.#process === undefined) this.#fail(this.#reason("was ended"));
    else this.#process.kill(ending.kind === "interrupted" ? ending.signal : "SIGKILL");
  }

  /** A kernel report while no test ran fails the run. */
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
