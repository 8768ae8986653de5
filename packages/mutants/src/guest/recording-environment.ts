import { appendFileSync } from "node:fs";
import { identify } from "@vfio-selftests/harness";
import HarnessEnvironment from "@vfio-selftests/harness/jest-environment";
import { KernelSwitch, type Seen } from "./kernel-switch";

/** Which mutants a test passed: one line of the record. */
export interface TestReach {
  readonly test: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly durationMs: number;
  /** Mutants in whose place the test was, and the fault would have changed nothing. */
  readonly reached: readonly number[];
  /** Mutants that would have made a difference: only those can the test notice. */
  readonly differs: readonly number[];
}

/** Where the environment finds the key of the kernel's mutants, their folder (for tests), and the file it writes to. */
export const RECORD_KEY = "VFIO_SELFTESTS_MUTANTS_KEY";
const RECORD_FOLDER = "VFIO_SELFTESTS_MUTANTS_FOLDER";
export const RECORD_FILE = "VFIO_SELFTESTS_MUTANTS_RECORD";

interface CircusTest {
  readonly name: string;
  readonly parent?: CircusBlock;
  readonly status?: string | null;
  readonly errors: readonly unknown[];
}

interface CircusBlock {
  readonly name: string;
  readonly parent?: CircusBlock;
}

type TestEvent = Parameters<HarnessEnvironment["handleTestEvent"]>[0];
type TestState = Parameters<HarnessEnvironment["handleTestEvent"]>[1];

/** The environment of the recording run: writes down after each test which mutants it passed. */
export default class RecordingEnvironment extends HarnessEnvironment {
  readonly #switch = new KernelSwitch(process.env[RECORD_KEY] ?? "", process.env[RECORD_FOLDER]);
  readonly #file = process.env[RECORD_FILE] ?? "";
  #before: readonly Seen[] = [];
  #waiting: (Omit<TestReach, "reached" | "differs"> & { readonly seen: readonly Seen[] }) | undefined;
  #startedAt = 0;

  override async handleTestEvent(event: TestEvent, state: TestState): Promise<void> {
    const test = event.test as CircusTest | undefined;
    // What the boot passed, and the look at the devices before the first test, is no test's.
    if (event.name === "run_start") this.#switch.take();
    if (event.name === "test_start" && test !== undefined) {
      // Hooks around a block of tests run between two tests: what they pass counts for both.
      this.#before = this.#switch.take();
      this.#flush(this.#before);
      this.#startedAt = performance.now();
    }
    await super.handleTestEvent(event, state);
    if (event.name === "test_done" && test !== undefined) {
      this.#waiting = {
        test: identify(titles(test)).id,
        status: test.status === "skip" ? "skipped" : test.errors.length > 0 ? "failed" : "passed",
        durationMs: Math.round(performance.now() - this.#startedAt),
        seen: [...this.#before, ...this.#switch.take()],
      };
    }
    if (event.name === "run_finish") this.#flush(this.#switch.take());
  }

  #flush(after: readonly Seen[]): void {
    if (this.#waiting === undefined) return;
    const { seen, ...line } = this.#waiting;
    this.#waiting = undefined;
    const all = [...seen, ...after];
    const differs = new Set(all.filter((one) => one.differs).map(({ number }) => number));
    const reached = new Set(all.map(({ number }) => number).filter((number) => !differs.has(number)));
    const record: TestReach = { ...line, reached: ascending(reached), differs: ascending(differs) };
    appendFileSync(this.#file, `${JSON.stringify(record)}\n`);
  }
}

function ascending(numbers: ReadonlySet<number>): number[] {
  return [...numbers].sort((a, b) => a - b);
}

function titles(test: CircusTest): string[] {
  const names = [test.name];
  for (let at = test.parent; at?.parent !== undefined; at = at.parent) names.unshift(at.name);
  return names;
}
