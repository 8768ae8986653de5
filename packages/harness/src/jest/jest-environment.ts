import { TestEnvironment } from "jest-environment-node";
import type { RunSize } from "../formats/report-format";
import { EXPECTED, type ExpectedMessage } from "../kernel-log/expect-kernel-log";
import { describeReport, judge, lostNotes } from "../kernel-log/judge";
import { KernelWatch, type KernelWatchOptions } from "../kernel-log/kernel-watch";
import { BEGIN_MARK, END_MARK, failureMark, testMark } from "../kernel-log/marks";
import { NOTES } from "../outcome/note";
import { SKIP, type SkipReason, skipText } from "../outcome/skip";
import { selectTests, takePart, type TestFilter, type TestPart } from "../outcome/test-filter";
import { identify, type TestIdentity } from "../outcome/test-identity";
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
import { showSuppressed } from "./suppressed-errors";

/** What an environment on top of this one needs of jest-circus. */
export { type CircusBlock, type CircusEvent, type CircusState, type CircusTest, testsUnder, titlesOf } from "./circus";

type EnvironmentParameters = ConstructorParameters<typeof TestEnvironment>;

/** jest's `testEnvironmentOptions`: plain data. */
export interface HarnessEnvironmentOptions {
  /** Which tests run. Default: all. */
  readonly filter?: TestFilter;
  /** The part of the filtered tests that this process runs. Default: all. */
  readonly part?: TestPart;
  /** What the tests run against. */
  readonly target?: Partial<TargetOptions>;
  /** Watches the kernel's log, whose reports fail tests. Default: nobody watches it. */
  readonly kernelLog?: KernelWatchOptions;
  /** How many times the chosen tests run, one time after the other. Default 1. */
  readonly repeat?: number;
  /** How many of the chosen tests, with repetitions, have run already. Default 0. */
  readonly from?: number;
  /** Ends the run at the first test that fails. */
  readonly bail?: boolean;
  /** The limit of every test in milliseconds, whatever its own. */
  readonly testTimeoutMs?: number;
}

/** A test's limit in milliseconds unless the project's configuration has one: upstream's (TEST_TIMEOUT_DEFAULT). */
const TEST_TIMEOUT_MS = 30_000;
/** How many times its limit a test may take in the lab, whose processor is often emulated. A slow kernel multiplies it. */
const LAB_FACTOR = 4;
/** jest's own default in milliseconds. A configuration that says the same looks like one that says nothing. */
const JEST_TEST_TIMEOUT_MS = 5000;
/** Modes in which jest-circus runs nothing. */
const LEFT_OUT: ReadonlySet<string | null | undefined> = new Set(["skip", "todo"]);
/** Where `jest.setTimeout` leaves the time-out of a file, and jest-circus finds it. */
const TEST_TIMEOUT_SYMBOL = Symbol.for("TEST_TIMEOUT_SYMBOL");
/** jest-circus' message about a test or hook that it gave up waiting for (`_makeTimeoutMessage`). */
const CIRCUS_TIMEOUT = /Exceeded timeout of \d+ ms/;

/**
 * jest's node environment, plus what tests of devices need:
 * - a test that throws `SkipError`, also from a hook, becomes a skipped result whose message holds reason and remedy;
 * - the lines given to `note` reach the reporter;
 * - what the kernel reports of itself while a test runs fails that test;
 * - `testEnvironmentOptions: { filter, target }` chooses tests by their ids, and what they run against;
 * - a test may take 30 s, unless the project's `testTimeout`, `jest.setTimeout` or the test itself says otherwise; in the
 *   lab four times that, multiplied by how much slower the lab's kernel is. A test that blocks the event loop for longer
 *   fails, too: jest-circus would not see it.
 */
export class HarnessEnvironment extends TestEnvironment {
  readonly #options: HarnessEnvironmentOptions;
  readonly #indexes = new Map<CircusTest, number>();
  #kernel: KernelWatch | undefined;
  #previous: string | undefined;
  #startedAt = 0;

  /** jest calls it, once for each test file. */
  constructor(config: EnvironmentParameters[0], context: EnvironmentParameters[1]) {
    super(config, context);
    this.#options = config.projectConfig.testEnvironmentOptions;
    const timeout = config.globalConfig.testTimeout ?? JEST_TEST_TIMEOUT_MS;
    Object.assign(this.global, {
      [TARGET]: this.#options.target,
      ...(timeout === JEST_TEST_TIMEOUT_MS ? { [TEST_TIMEOUT_SYMBOL]: TEST_TIMEOUT_MS } : {}),
    });
  }

  /** jest-circus calls it with every event. */
  async handleTestEvent(event: CircusEvent, state: CircusState): Promise<void> {
    const { name, test, error } = event;
    showSuppressed(error);
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

  /** jest calls it after the file's last test. */
  override async teardown(): Promise<void> {
    this.#kernel?.[Symbol.dispose]();
    await super.teardown();
  }

  /**
   * Whether this environment marks begin and end. A watch that begins after a number belongs to whoever gave that
   * number.
   */
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
    // Closed handles end with the turn of the event loop, and the kernel may report something then.
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
    // Even when there are none, because a test of another file may have had the same titles.
    runState().notes.set(testKey(titlesOf(test)), notes);
    Reflect.deleteProperty(global, NOTES);
    Reflect.deleteProperty(global, EXPECTED);
    becomeSkipped(test);
    if (test.errors.length === 0 || test.status === "skip") return;
    this.#kernel?.mark(failureMark(identify(titlesOf(test)).id));
    if (this.#options.bail === true) this.#leaveOutRest();
  }

  /** Fails the run for what the kernel reported while no test ran. Returns lines for the test that comes next. */
  #lookOutside(when: string): string[] {
    if (this.#kernel === undefined) return [];
    const { reports, lost } = this.#kernel.take();
    const state = runState();
    state.kernelLog = this.#kernel.position;
    state.outside.push(...reports.map((report) => `the kernel reported ${when}: ${describeReport(report)}`));
    return lostNotes(lost);
  }

  /** Takes the unwanted tests out of the run, repeats the others, and counts them for the reporters. */
  #select(state: CircusState): void {
    const { rootDescribeBlock: root } = state;
    const { filter = {}, part, repeat = 1, from = 0, testTimeoutMs } = this.#options;
    const { lab, slowdown } = { ...environmentOptions(), ...this.#options.target };
    const factor = lab ? LAB_FACTOR * slowdown : 1;
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
    runState().size = { tests: tests * repeat, cases: cases.size, all, ...unsharded([...identities.values()], filter) };
    const once = [...root.children];
    for (let time = 1; time < repeat; time++) root.children.push(...once.map((child) => cloneChild(child, root)));
    // The clones of an unwanted test are marked like it.
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

/** The tests of all shards, where the filter chooses one of them. */
function unsharded(tests: readonly TestIdentity[], { shard, ...filter }: TestFilter): Pick<RunSize, "unsharded"> {
  return shard === undefined ? {} : { unsharded: selectTests(tests, filter) };
}

/** Waits two turns of the event loop. By then deferred closes have ended, and the reporter has its messages. */
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
 * jest-circus has called its own handler by now (status is "done"), and reports the test after this handler, which may
 * correct the status. Another error beside the skip (in an afterEach hook, say) leaves the test failed with that error.
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
  // jest shows `stack`, so it holds only the text: the stack of the throw tells a reader nothing here.
  addFailure(test, skipText(first));
}

/** The skip in an entry, which jest-circus keeps as an error or as [error, error with the registration's stack]. */
function skipReason(entry: unknown): SkipReason | undefined {
  const error: unknown = Array.isArray(entry) ? entry[0] : entry;
  return typeof error === "object" && error !== null ? (error as { [SKIP]?: SkipReason })[SKIP] : undefined;
}
