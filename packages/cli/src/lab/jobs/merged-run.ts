import {
  dealTests,
  type Durations,
  fullId,
  Pace,
  type ReportEvent,
  type Reports,
  type RunOutcome,
  type RunPlan,
  type TestIdentity,
  type TestOutcome,
  timeLeftText,
} from "@vfio-selftests/harness";

/** Merges the events of several VMs, each with the VM's index, into one report of all their tests. */
export class MergedRun implements Disposable {
  readonly #started = performance.now();
  readonly #jobs: number;
  readonly #durations: Durations;
  readonly #openReports: (plan: RunPlan) => Reports;
  readonly #outcomes = new Map<string, TestOutcome>();
  readonly #running = new Map<number, { readonly test: TestIdentity; readonly since: number }>();
  readonly #missed = new Set<string>();
  readonly #errors: string[] = [];
  readonly #notes = new Set<string>();
  /** All tests in their order. Their full ids differ. */
  #tests: readonly TestIdentity[] | undefined;
  #shares: readonly (readonly TestIdentity[])[] = [];
  #pace = new Pace([], {});
  #reports: Reports | undefined;

  constructor(jobs: number, durations: Durations, open: (plan: RunPlan) => Reports) {
    this.#jobs = jobs;
    this.#durations = durations;
    this.#openReports = open;
  }

  /** All tests of the run, once a VM has listed them. */
  get tests(): readonly TestIdentity[] | undefined {
    return this.#tests;
  }

  /** Results of tests that ran to their end. */
  get measured(): readonly TestOutcome[] {
    return [...this.#outcomes].flatMap(([id, test]) => (this.#missed.has(id) ? [] : test));
  }

  receive(vm: number, event: ReportEvent): void {
    if (event.kind === "plan") this.#plan(event.plan);
    else if (event.kind === "started") this.#start(vm, event.test);
    else if (event.kind === "finished") this.#finish(vm, event.test);
    else if (event.kind === "end") {
      this.#errors.push(...event.run.errors);
      for (const note of event.run.notes ?? []) this.#notes.add(note);
    }
  }

  /** The tests dealt to a VM, or to all, that have no result. */
  rest(vm?: number): readonly TestIdentity[] {
    const tests = vm === undefined ? this.#tests : this.#shares[vm];
    return (tests ?? []).filter((test) => !this.#outcomes.has(fullId(test)));
  }

  /** Notes that a VM is gone. The test that it was running has no result, so it fails. */
  lose(vm: number, why: string): void {
    const running = this.#running.get(vm);
    if (running !== undefined) this.#miss(vm, running.test, why, performance.now() - running.since);
  }

  /** Notes that no VM can run these tests. */
  giveUp(tests: readonly TestIdentity[], why: string): void {
    for (const test of tests) this.#miss(-1, test, why, 0);
  }

  /** What went wrong outside any test. */
  get errors(): readonly string[] {
    return this.#errors;
  }

  /** Notes what went wrong outside any test. */
  fail(error: string): void {
    this.#errors.push(error);
  }

  /** The run as one VM would have reported it, with the tests in their order. */
  end(): RunOutcome {
    const tests = (this.#tests ?? []).flatMap((test) => this.#outcomes.get(fullId(test)) ?? []);
    const durationMs = performance.now() - this.#started;
    const run = { tests, errors: this.#errors, notes: [...this.#notes], durationMs };
    for (const format of this.#reports?.formats ?? []) format.end(run);
    return run;
  }

  [Symbol.dispose](): void {
    this.#reports?.[Symbol.dispose]();
  }

  /** Takes the first VM's plan. The other VMs' plans are alike. */
  #plan(plan: RunPlan): void {
    if (this.#tests !== undefined) return;
    // A run whose test process ended before it had listed the tests has a plan without a size.
    const tests = plan.size?.all;
    if (tests === undefined) return;
    this.#tests = tests;
    this.#shares = dealTests(tests, this.#jobs, this.#durations);
    this.#pace = new Pace(tests, this.#durations);
    if (tests.length === 0) return;
    const cases = new Set(tests.map(({ device, fixture, variant }) => [device, fixture, variant].join("\0")));
    this.#reports = this.#openReports({
      ...plan,
      headline: [...plan.headline, `${this.#jobs} VMs, which share the tests.`],
      size: { ...plan.size, tests: tests.length, cases: cases.size },
    });
  }

  #start(vm: number, test: TestIdentity): void {
    this.#running.set(vm, { test, since: performance.now() });
    this.#tellProgress();
  }

  /** Reports a test's start only now, since no other test's lines may come between its start and its end. */
  #finish(vm: number, test: TestOutcome): void {
    this.#running.delete(vm);
    this.#outcomes.set(fullId(test), test);
    this.#pace.finished(test);
    for (const format of this.#reports?.formats ?? []) {
      format.started?.(test);
      format.finished?.(test);
    }
    this.#tellProgress();
  }

  #miss(vm: number, test: TestIdentity, why: string, durationMs: number): void {
    this.#missed.add(fullId(test));
    const failures = [`MISS: this test has no result of its own: ${why}`];
    this.#finish(vm, { ...test, status: "failed", durationMs, skip: undefined, failures, notes: [] });
  }

  #tellProgress(): void {
    const running = [...this.#running.values()].map(({ test }) => fullId(test));
    const text = `${this.#outcomes.size}/${this.#tests?.length ?? 0}, ${timeLeftText(this.#timeLeft())}: ${running.join(" | ")}`;
    for (const format of this.#reports?.formats ?? []) format.underWay?.(text);
  }

  /** Milliseconds until the VM with the most work left is done, if the tests go on as fast as until now. */
  #timeLeft(): number {
    const now = performance.now();
    const each = this.#shares.map((_, vm) => {
      const left = this.#pace.timeOf(this.rest(vm));
      const running = this.#running.get(vm);
      return running === undefined ? left : left - Math.min(now - running.since, left);
    });
    return Math.max(0, ...each);
  }
}
