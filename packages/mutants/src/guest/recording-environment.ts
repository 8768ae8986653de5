import { appendFileSync, readFileSync } from "node:fs";
import { identify } from "@vfio-selftests/harness";
import {
  type CircusBlock,
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

/** The environment of the recording run. After each outermost block it writes down which mutants its tests reached. */
export default class RecordingEnvironment extends HarnessEnvironment {
  readonly #switch = new KernelSwitch(process.env[RECORD_KEY] ?? "", process.env[RECORD_FOLDER]);
  readonly #file = process.env[RECORD_FILE] ?? "";
  readonly #inHooks = new Map<CircusBlock, Seen[]>();
  /** The tests of the outermost block that runs. */
  #lines: Line[] = [];
  #before: readonly Seen[] = [];
  #startedAt = 0;

  override async handleTestEvent(event: CircusEvent, state: CircusState): Promise<void> {
    const { test, describeBlock: block } = event;
    // What the boot and the look at the devices before the first test reached belongs to no test.
    if (event.name === "run_start") {
      this.#switch.take();
      leaveOutRecorded(state);
    }
    // jest also begins the tests that it leaves out.
    if (event.name === "test_start" && test !== undefined && test.mode !== "skip") {
      this.#before = this.#switch.take();
      this.#startedAt = performance.now();
    }
    await super.handleTestEvent(event, state);
    if (event.name === "test_done" && test !== undefined) {
      this.#lines.push({
        block: test.parent,
        test: identify(titlesOf(test)).id,
        status: test.status === "skip" ? "skipped" : test.errors.length > 0 ? "failed" : "passed",
        durationMs: Math.round(performance.now() - this.#startedAt),
        seen: [...this.#before, ...this.#switch.take()],
      });
    }
    // A trial runs the hooks around each test anew, so what they reach counts for each test of their block.
    if (block !== undefined && test === undefined && HOOK_ENDS.includes(event.name)) {
      this.#inHooks.set(block, [...(this.#inHooks.get(block) ?? []), ...this.#switch.take()]);
    }
    const isOutermost = block !== undefined && block.parent === state.rootDescribeBlock;
    if (event.name === "run_finish" || (event.name === "run_describe_finish" && isOutermost)) this.#write();
  }

  #write(): void {
    for (const { block, seen, ...line } of this.#lines.splice(0)) {
      const record: TestReach = { ...line, ...split([...seen, ...this.#around(block)]) };
      appendFileSync(this.#file, `${JSON.stringify(record)}\n`);
    }
  }

  #around(block: CircusBlock | undefined): readonly Seen[] {
    if (block === undefined) return [];
    return [...(this.#inHooks.get(block) ?? []), ...this.#around(block.parent)];
  }
}

/** A test, and what it and its own hooks reached. */
interface Line extends Omit<TestReach, "reached" | "differs"> {
  readonly block: CircusBlock | undefined;
  readonly seen: readonly Seen[];
}

const HOOK_ENDS: readonly string[] = ["hook_success", "hook_failure"];

function leaveOutRecorded({ rootDescribeBlock: root }: CircusState): void {
  const file = process.env[RECORD_DONE];
  if (file === undefined) return;
  const done = new Set(parseReach(readFileSync(file, "utf8")).map(({ test }) => test));
  for (const test of testsUnder(root)) if (done.has(identify(titlesOf(test)).id)) test.mode = "skip";
}
