import type { RunOutcome } from "../outcome/run-outcome";
import type { TestIdentity } from "../outcome/test-identity";

/** What the environment knows of a test that it is about to start. */
export interface TestStart {
  readonly test: TestIdentity;
  /** Its place among the tests that were chosen, repetitions counted on; from 0. */
  readonly index: number;
  /** Milliseconds that it may take, hooks included. */
  readonly limitMs: number;
}

/**
 * What the jest environment tells the reporter and jest's results have no room for. Both live in one process (a device has
 * one user at a time, so the tests run in band), but each loads its own copy of this module: the state hangs off a global
 * symbol.
 */
export interface RunState {
  /** Lines by {@link testKey}. */
  readonly notes: Map<string, readonly string[]>;
  /** Tests of the running file that its source marks as skipped (`it.skip`), by {@link testKey}. */
  readonly marked: Set<string>;
  /** What went wrong outside any test and no reporter has taken yet. */
  readonly outside: string[];
  /** How much the file that is about to run holds. */
  size: { readonly tests: number; readonly cases: number } | undefined;
  /** The last finished run, for the one who started jest in this process. */
  outcome: RunOutcome | undefined;
  /** Called before a test's first line runs: jest's own event may come after a test that blocks. */
  starting: ((start: TestStart) => void) | undefined;
  /** Of the kernel's log: the sequence number of the last message that was looked at. */
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
