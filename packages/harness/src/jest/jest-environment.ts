import { TestEnvironment } from "jest-environment-node";
import { EXPECTED, type ExpectedMessage } from "../kernel-log/expect-kernel-log";
import { describeReport, judge, lostNotes } from "../kernel-log/judge";
import { KernelWatch, type KernelWatchOptions } from "../kernel-log/kernel-watch";
import { BEGIN_MARK, END_MARK, failureMark, testMark } from "../kernel-log/marks";
import { NOTES } from "../outcome/note";
import { SKIP, type SkipReason, skipText } from "../outcome/skip";
import { selectTests, takePart, type TestFilter, type TestPart } from "../outcome/test-filter";
import { identify } from "../outcome/test-identity";
import { environmentOptions, TARGET, type TargetOptions } from "../target/target-options";
import {
  addFailure,
  type CircusEvent,
  type CircusState,
  type CircusTest,
  cloneChild,
  testsUnder,
  titlesOf,
} from "./circus";
import { runState, testKey } from "./run-state";

/** What an environment on top of this one needs of jest-circus. */
export { type CircusBlock, type CircusEvent, type CircusState, type CircusTest, testsUnder, titlesOf } from "./circus";

type EnvironmentParameters = ConstructorParameters<typeof TestEnvironment>;

/** jest's `testEnvironmentOptions`: plain data. */
export interface HarnessEnvironmentOptions {
  readonly filter?: TestFilter;
  /** Of the tests that the filter wants, those that this process runs. Default: all. */
  readonly part?: TestPart;
  readonly target?: Partial<TargetOptions>;
  /** What the kernel says is looked at, and fails tests. Default: it is not. */
  readonly kernelLog?: KernelWatchOptions;
  /** How many times the chosen tests run, one time after the other. Default 1. */
  readonly repeat?: number;
  /** So many of the chosen tests, repetitions counted on, have run already. Default 0. */
  readonly from?: number;
  /** No test runs after one that failed. */
  readonly bail?: boolean;
  /** Milliseconds of every test, whatever its own limit. */
  readonly testTimeoutMs?: number;
}

/** Milliseconds of a test where the project's configuration says nothing else: upstream's (TEST_TIMEOUT_DEFAULT). */
const TEST_TIMEOUT_MS = 30_000;
/** The lab's processor is often an emulated one: there a test may take so many times its limit. */
const LAB_FACTOR = 4;
/** jest's own default, with which it cannot be told from a configuration that says nothing. */
const JEST_TEST_TIMEOUT_MS = 5000;
/** Modes in which jest-circus runs nothing. */
const LEFT_OUT: ReadonlySet<string | null | undefined> = new Set(["skip", "todo"]);
/** Where `jest.setTimeout` leaves the time-out of a file, and jest-circus finds it. */
const TEST_TIMEOUT_SYMBOL = Symbol.for("TEST_TIMEOUT_SYMBOL");
/** What jest-circus says of a test or hook that it gave up waiting for (`_makeTimeoutMessage`). */
const CIRCUS_TIMEOUT = /Exceeded timeout of \d+ ms/;

/**
 * jest's node environment, plus what tests of devices need of it:
 * - a test that throws `SkipError`, also from a hook, becomes a skipped result whose message holds reason and remedy;
 * - the lines given to `note` reach the reporter;
 * - what the kernel reports of itself while a test runs fails that test;
 * - `testEnvironmentOptions: { filter, target }` chooses tests by their ids, and what they run against;
 * - a test may take 30 s, unless the project's `testTimeout`, `jest.setTimeout` or the test itself says otherwise; in the
 *   lab four times that. Also one that blocks the event loop all the time fails after that, which jest-circus does not look at.
 */
export default class HarnessEnvironment extends TestEnvironment {
  readonly #options: HarnessEnvironmentOptions;
  readonly #indexes = new Map<CircusTest, number>();
  #kernel: KernelWatch | undefined;
  #previous: string | undefined;
  #startedAt = 0;

  constructor(config: EnvironmentParameters[0], context: EnvironmentParameters[1]) {
    super(config, context);
    this.#options = config.projectConfig.testEnvironmentOptions;
    const timeout = config.globalConfig.testTimeout ?? JEST_TEST_TIMEOUT_MS;
    Object.assign(this.global, {
      [TARGET]: this.#options.target,
      ...(timeout === JEST_TEST_TIMEOUT_MS ? { [TEST_TIMEOUT_SYMBOL]: TEST_TIMEOUT_MS } : {}),
    });
  }

  async handleTestEvent(event: CircusEvent, state: CircusState): Promise<void> {
    const { name, test } = event;
    if (name === "run_start") {
      this.#select(state);
      this.#watchKernel();
    } else if (name === "run_finish") {
      await settle();
      this.#lookOutside(this.#previous === undefined ? "without a test" : `after the last test, ${this.#previous}`);
      if (this.#ownsWatch) this.#kernel?.mark(END_MARK);
    } else if (test !== undefined && this.#indexes.has(test) && !LEFT_OUT.has(test.mode)) {
      if (name === "test_start") await this.#begin(test, state);
      else if (name === "test_done") await this.#end(test, state);
    }
  }

  override async teardown(): Promise<void> {
    this.#kernel?.[Symbol.dispose]();
    await super.teardown();
  }

  /** Where the watch has a number to begin after, whoever gave it looks at what is before and behind. */
  get #ownsWatch(): boolean {
    return typeof this.#options.kernelLog?.after !== "number";
  }

  #watchKernel(): void {
    if (this.#options.kernelLog === undefined) return;
    this.#kernel = new KernelWatch(this.#options.kernelLog);
    if (this.#ownsWatch) this.#kernel.mark(BEGIN_MARK);
    runState().kernelLog = this.#kernel.position;
  }

  async #begin(test: CircusTest, state: CircusState): Promise<void> {
    // The reporter gets the last test's result before this one may block.
    await settle();
    const identity = identify(titlesOf(test));
    const { id } = identity;
    const notes = this.#lookOutside(
      this.#previous === undefined ? `before the first test, ${id}` : `between ${this.#previous} and ${id}`,
    );
    this.#kernel?.mark(testMark(id));
    Object.assign(this.global, { [NOTES]: notes, ...(this.#kernel && { [EXPECTED]: [] }) });
    this.#previous = id;
    this.#startedAt = performance.now();
    runState().starting?.({ test: identity, index: this.#indexes.get(test) ?? 0, limitMs: limitOf(test, state) });
  }

  async #end(test: CircusTest, state: CircusState): Promise<void> {
    const tookMs = performance.now() - this.#startedAt;
    const limitMs = limitOf(test, state);
    if (tookMs > limitMs && !test.errors.some(isCircusTimeout)) addFailure(test, overran(tookMs, limitMs));
    // What was closed is closed at the end of a turn of the event loop, and the kernel may have something to say to it.
    await settle();
    const global = this.global as { [NOTES]?: string[]; [EXPECTED]?: ExpectedMessage[] };
    const notes = global[NOTES] ?? [];
    if (this.#kernel !== undefined) {
      const verdict = judge(this.#kernel.take(), {
        expected: global[EXPECTED],
        skipped: test.errors.some((error) => skipReason(error) !== undefined),
      });
      runState().kernelLog = this.#kernel.position;
      notes.push(...verdict.notes);
      for (const failure of verdict.failures) addFailure(test, failure);
    }
    // Also when there are none: a test of another file may have had the same titles.
    runState().notes.set(testKey(titlesOf(test)), notes);
    Reflect.deleteProperty(global, NOTES);
    Reflect.deleteProperty(global, EXPECTED);
    becomeSkipped(test);
    if (test.errors.length === 0 || test.status === "skip") return;
    this.#kernel?.mark(failureMark(identify(titlesOf(test)).id));
    if (this.#options.bail === true) this.#leaveOutRest();
  }

  /** What the kernel said while no test ran fails the run; gives lines for the test that comes next. */
  #lookOutside(when: string): string[] {
    if (this.#kernel === undefined) return [];
    const { reports, lost } = this.#kernel.take();
    const state = runState();
    state.kernelLog = this.#kernel.position;
    state.outside.push(...reports.map((report) => `the kernel reported ${when}: ${describeReport(report)}`));
    return lostNotes(lost);
  }

  /** Takes the tests that are not wanted out of the run, repeats the others, and tells the reporters how many there are. */
  #select(state: CircusState): void {
    const { rootDescribeBlock: root } = state;
    const { filter = {}, part, repeat = 1, from = 0, testTimeoutMs } = this.#options;
    const factor = (this.#options.target ?? environmentOptions()).lab ? LAB_FACTOR : 1;
    const identities = new Map([...testsUnder(root)].map((test) => [test, identify(titlesOf(test))]));
    const all = selectTests([...identities.values()], filter);
    const own = new Set(takePart(all, part));
    const { marked } = runState();
    marked.clear();
    const cases = new Set<string>();
    let tests = 0;
    for (const [test, identity] of identities) {
      const path = titlesOf(test);
      if (!own.has(identity)) {
        test.mode = "skip";
        continue;
      }
      if (test.mode === "skip") marked.add(testKey(path));
      test.timeout = testTimeoutMs ?? limitOf(test, state) * factor;
      tests += 1;
      cases.add(testKey(path.slice(0, -1)));
      this.#indexes.set(test, 0);
    }
    runState().size = { tests: tests * repeat, cases: cases.size, all };
    const once = [...root.children];
    for (let time = 1; time < repeat; time++) root.children.push(...once.map((child) => cloneChild(child, root)));
    // The clones of a test that is not wanted are marked like it.
    let index = 0;
    for (const test of testsUnder(root)) {
      if (test.mode === "skip" && !marked.has(testKey(titlesOf(test)))) continue;
      if (index < from) test.mode = "skip";
      this.#indexes.set(test, index);
      index += 1;
    }
  }

  #leaveOutRest(): void {
    // A test that has run keeps its result.
    for (const test of this.#indexes.keys()) test.mode = "skip";
    runState().marked.clear();
  }
}

/** Two turns of the event loop: what closes at the end of one is closed, what was sent to a reporter has arrived. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function limitOf(test: CircusTest, state: CircusState): number {
  return test.timeout ?? state.testTimeout;
}

function overran(tookMs: number, limitMs: number): string {
  return `the test took ${(tookMs / 1000).toFixed(1)} s: more than its limit of ${limitMs / 1000} s`;
}

function isCircusTimeout(entry: unknown): boolean {
  const error: unknown = Array.isArray(entry) ? entry[0] : entry;
  return CIRCUS_TIMEOUT.test(String((error as { message?: unknown } | undefined)?.message ?? error));
}

/**
 * jest-circus has called its own handler by now (status is "done") and reports the test after this one: the status is
 * ours to correct. Another error beside the skip (in an afterEach hook, say) leaves it failed, with that error.
 */
function becomeSkipped(test: CircusTest): void {
  const failures = test.errors.filter((error) => skipReason(error) === undefined);
  const first = test.errors.map(skipReason).find((reason) => reason !== undefined);
  if (first === undefined) return;
  if (failures.length > 0) {
    test.errors = failures;
    return;
  }
  test.status = "skip";
  test.errors = [];
  // jest takes `stack` for its text: without the stack of the throw, which tells a reader nothing here.
  addFailure(test, skipText(first));
}

/** jest-circus keeps an error alone or as [error, error with the registration's stack]. */
function skipReason(entry: unknown): SkipReason | undefined {
  const error: unknown = Array.isArray(entry) ? entry[0] : entry;
  return typeof error === "object" && error !== null ? (error as { [SKIP]?: SkipReason })[SKIP] : undefined;
}
