import type { RunSize } from "../formats/report-format";
import type { RunOutcome } from "../outcome/run-outcome";
import type { TestIdentity } from "../outcome/test-identity";

/** What the environment knows of a test that it is about to start. */
export interface TestStart {
  /** The test that begins. */
  readonly test: TestIdentity;
  /** Its place among the chosen tests, counted through all repetitions; from 0. */
  readonly index: number;
  /** Milliseconds that the test may take, hooks included. */
  readonly limitMs: number;
}

/**
 * What the jest environment tells the reporter, and jest's results have no room for. Both live in one process (a device
 * has one user at a time, so the tests run in band), but each loads its own copy of this module. A global symbol holds
 * the state for both.
 */
export interface RunState {
  /** Lines by {@link testKey}. */
  readonly notes: Map<string, readonly string[]>;
  /** Tests of the running file that its source marks as skipped (`it.skip`), by {@link testKey}. */
  readonly marked: Set<string>;
  /** What went wrong outside any test, and no reporter has taken yet. */
  readonly outside: string[];
  /** The number of tests in the file that is about to run. */
  size: RunSize | undefined;
  /** The last finished run, for the caller who started jest in this process. */
  outcome: RunOutcome | undefined;
  /** Called before a test's first line runs, because jest's own event may come only after a test that blocks. */
  starting: ((start: TestStart) => void) | undefined;
  /** The sequence number of the last message of the kernel's log that somebody has read. */
  kernelLog: number | undefined;
}

const STATE = Symbol.for("vfio-selftests.run-state");

export function runState(): RunState {
  const holder = globalThis as { [STATE]?: RunState };
  if (holder[STATE] !== undefined) return holder[STATE];
  const created: RunState = {
    notes: new Map(),
    marked: new Set(),
    outside: [],
    size: undefined,
    outcome: undefined,
    starting: undefined,
    kernelLog: undefined,
  };
  holder[STATE] = created;
  return created;
}

export function testKey(titles: readonly string[]): string {
  return titles.join("\0");
}
