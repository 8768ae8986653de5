import type { RunSize } from "../formats/report-format";
import type { RunOutcome } from "../outcome/run-outcome";

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
  /** How much the file that is about to run holds. */
  size: RunSize | undefined;
  /** The last finished run, for the one who started jest in this process. */
  outcome: RunOutcome | undefined;
}

const STATE = Symbol.for("vfio-selftests.run-state");

export function runState(): RunState {
  const holder = globalThis as { [STATE]?: RunState };
  if (holder[STATE] !== undefined) return holder[STATE];
  const created: RunState = { notes: new Map(), marked: new Set(), size: undefined, outcome: undefined };
  holder[STATE] = created;
  return created;
}

export function testKey(titles: readonly string[]): string {
  return titles.join("\0");
}
