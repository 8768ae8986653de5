import { TestEnvironment } from "jest-environment-node";
import { NOTES } from "../outcome/note";
import { SKIP, type SkipReason, skipText } from "../outcome/skip";
import { selectTests, takePart, type TestFilter, type TestPart } from "../outcome/test-filter";
import { identify } from "../outcome/test-identity";
import { TARGET, type TargetOptions } from "../target/target-options";
import { runState, testKey } from "./run-state";

/** What we use of jest-circus' records (its `Circus.DescribeBlock`, `Circus.TestEntry` and `Circus.Event`). */
interface CircusBlock {
  readonly type: "describeBlock";
  readonly name: string;
  readonly parent?: CircusBlock;
  readonly children: readonly (CircusBlock | CircusTest)[];
}

interface CircusTest {
  readonly type: "test";
  readonly name: string;
  readonly parent?: CircusBlock;
  mode?: string | null;
  errors: unknown[];
  status?: string | null;
}

interface CircusEvent {
  readonly name: string;
  readonly test?: CircusTest;
}

interface CircusState {
  readonly rootDescribeBlock: CircusBlock;
}

type EnvironmentParameters = ConstructorParameters<typeof TestEnvironment>;

/** jest's `testEnvironmentOptions`: plain data. */
export interface HarnessEnvironmentOptions {
  readonly filter?: TestFilter;
  /** Of the tests that the filter wants, those that this process runs. Default: all. */
  readonly part?: TestPart;
  readonly target?: Partial<TargetOptions>;
}

/** Milliseconds of a test where the project's configuration says nothing else: upstream's (TEST_TIMEOUT_DEFAULT). */
const TEST_TIMEOUT_MS = 30_000;
/** jest's own default, with which it cannot be told from a configuration that says nothing. */
const JEST_TEST_TIMEOUT_MS = 5000;
/** Where `jest.setTimeout` leaves the time-out of a file, and jest-circus finds it. */
const TEST_TIMEOUT_SYMBOL = Symbol.for("TEST_TIMEOUT_SYMBOL");

/**
 * jest's node environment, plus what tests of devices need of it:
 * - a test that throws `SkipError`, also from a hook, becomes a skipped result whose message holds reason and remedy;
 * - the lines given to `note` reach the reporter;
 * - `testEnvironmentOptions: { filter, target }` chooses tests by their ids, and what they run against;
 * - a test may take 30 s, unless the project's `testTimeout`, `jest.setTimeout` or the test itself says otherwise.
 */
export default class HarnessEnvironment extends TestEnvironment {
  readonly #options: HarnessEnvironmentOptions;

  constructor(config: EnvironmentParameters[0], context: EnvironmentParameters[1]) {
    super(config, context);
    this.#options = config.projectConfig.testEnvironmentOptions;
    const timeout = config.globalConfig.testTimeout ?? JEST_TEST_TIMEOUT_MS;
    Object.assign(this.global, {
      [TARGET]: this.#options.target,
      ...(timeout === JEST_TEST_TIMEOUT_MS ? { [TEST_TIMEOUT_SYMBOL]: TEST_TIMEOUT_MS } : {}),
    });
  }

  handleTestEvent(event: CircusEvent, state: CircusState): void {
    if (event.name === "run_start") this.#select(state.rootDescribeBlock);
    if (event.test === undefined) return;
    const global = this.global as { [NOTES]?: string[] };
    if (event.name === "test_start") {
      global[NOTES] = [];
    } else if (event.name === "test_done") {
      const notes = global[NOTES] ?? [];
      // Also when there are none: a test of another file may have had the same titles.
      runState().notes.set(testKey(titles(event.test)), notes);
      Reflect.deleteProperty(global, NOTES);
      becomeSkipped(event.test);
    }
  }

  /** Takes the tests that this process shall not run out of the run, and tells the reporters how many are left. */
  #select(root: CircusBlock): void {
    const { filter = {}, part } = this.#options;
    const tests = [...testsUnder(root)].map((test) => ({ test, path: titles(test), identity: identify(titles(test)) }));
    const all = selectTests(
      tests.map(({ identity }) => identity),
      filter,
    );
    const own = new Set(takePart(all, part));
    const cases = new Set<string>();
    const { marked } = runState();
    marked.clear();
    for (const { test, path, identity } of tests) {
      if (!own.has(identity)) {
        test.mode = "skip";
        continue;
      }
      if (test.mode === "skip") marked.add(testKey(path));
      cases.add(testKey(path.slice(0, -1)));
    }
    runState().size = { tests: own.size, cases: cases.size, all };
  }
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
  const message = skipText(first);
  // jest takes `stack` for its text: without the stack of the throw, which tells a reader nothing here.
  test.errors = [[Object.assign(new Error(message), { stack: message }), undefined]];
}

/** jest-circus keeps an error alone or as [error, error with the registration's stack]. */
function skipReason(entry: unknown): SkipReason | undefined {
  const error: unknown = Array.isArray(entry) ? entry[0] : entry;
  return typeof error === "object" && error !== null ? (error as { [SKIP]?: SkipReason })[SKIP] : undefined;
}

function* testsUnder(block: CircusBlock): Generator<CircusTest> {
  for (const child of block.children) {
    if (child.type === "test") yield child;
    else yield* testsUnder(child);
  }
}

/** Titles from the outermost describe to the test; jest-circus' own root block has no parent. */
function titles(test: CircusTest): string[] {
  const names = [test.name];
  for (let at = test.parent; at?.parent !== undefined; at = at.parent) names.unshift(at.name);
  return names;
}
