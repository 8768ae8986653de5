import { appendFileSync, readFileSync } from "node:fs";
import { identify } from "@vfio-selftests/harness";
import {
  type CircusEvent,
  type CircusState,
  HarnessEnvironment,
  testsUnder,
  titlesOf,
} from "@vfio-selftests/harness/jest";
import { parseReach } from "../campaign/reach";
import type { TestReach } from "../campaign/test-reach";
import { KernelSwitch, type Seen } from "./kernel-switch";
import { split } from "./record-each";

/**
 * The variables with the key of the kernel's mutants, their folder (for our tests), the file to write to, and the file of an earlier
 * recording whose tests need not run again.
 */
export const RECORD_KEY = "VFIO_SELFTESTS_MUTANTS_KEY";
const RECORD_FOLDER = "VFIO_SELFTESTS_MUTANTS_FOLDER";
export const RECORD_FILE = "VFIO_SELFTESTS_MUTANTS_RECORD";
export const RECORD_DONE = "VFIO_SELFTESTS_MUTANTS_RECORDED";

/** The environment of the recording run. After each test it writes down which mutants the test reached. */
export default class RecordingEnvironment extends HarnessEnvironment {
  readonly #switch = new KernelSwitch(process.env[RECORD_KEY] ?? "", process.env[RECORD_FOLDER]);
  readonly #file = process.env[RECORD_FILE] ?? "";
  #before: readonly Seen[] = [];
  #waiting: (Omit<TestReach, "reached" | "differs"> & { readonly seen: readonly Seen[] }) | undefined;
  #startedAt = 0;

  override async handleTestEvent(event: CircusEvent, state: CircusState): Promise<void> {
    const { test } = event;
    // What the boot and the look at the devices before the first test reached belongs to no test.
    if (event.name === "run_start") {
      this.#switch.take();
      leaveOutRecorded(state);
    }
    // jest also begins the tests that it leaves out.
    if (event.name === "test_start" && test !== undefined && test.mode !== "skip") {
      // Hooks around a block of tests run between two tests, so what they reach counts for both.
      this.#before = this.#switch.take();
      this.#flush(this.#before);
      this.#startedAt = performance.now();
    }
    await super.handleTestEvent(event, state);
    if (event.name === "test_done" && test !== undefined) {
      this.#waiting = {
        test: identify(titlesOf(test)).id,
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
    const record: TestReach = { ...line, ...split([...seen, ...after]) };
    appendFileSync(this.#file, `${JSON.stringify(record)}\n`);
  }
}

function leaveOutRecorded({ rootDescribeBlock: root }: CircusState): void {
  const file = process.env[RECORD_DONE];
  if (file === undefined) return;
  const done = new Set(parseReach(readFileSync(file, "utf8")).map(({ test }) => test));
  for (const test of testsUnder(root)) if (done.has(identify(titlesOf(test)).id)) test.mode = "skip";
}
