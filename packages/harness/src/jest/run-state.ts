import type { RunOutcome } from "../outcome/run-outcome";

/**
 * What the tests' side tells the reporters' side and jest's results have no room for. Both sides live in one process
 * (a device has one user at a time, so the suites run in band), but each loads its own copy of this module: the board
 * hangs off a global symbol.
 */
export interface Board {
  /** Lines by {@link testKey}. */
  readonly notes: Map<string, readonly string[]>;
  /** How much the file that is about to run holds. */
  size: { readonly tests: number; readonly cases: number } | undefined;
  /** The last finished run, for the one who started jest in this process. */
  run: RunOutcome | undefined;
}

const BOARD = Symbol.for("vfio-selftests.board");

export function board(): Board {
  const holder = globalThis as { [BOARD]?: Board };
  const existing = holder[BOARD];
  if (existing !== undefined) return existing;
  const created: Board = { notes: new Map(), size: undefined, run: undefined };
  holder[BOARD] = created;
  return created;
}

export function testKey(titles: readonly string[]): string {
  return titles.join("\0");
}
