/** A check's name and the part of the specification that it holds a peer to. */
export interface CheckName {
  /** `dma_map.overlap_is_eexist`: family and check. */
  readonly id: string;
  /** The title of the section in the vfio-user specification. */
  readonly section: string;
}

/** What a check found. */
export type Verdict =
  | { readonly verdict: "pass" }
  | { readonly verdict: "fail"; readonly expected: string; readonly came: string }
  | { readonly verdict: "skip"; readonly reason: string; readonly remedy: string };

export type CheckResult = CheckName & Verdict & { readonly durationMs: number };

/** Thrown by a check: the peer departs from the specification. */
export class Departure extends Error {
  readonly expected: string;
  readonly came: string;

  constructor(expected: string, came: string) {
    super(`expected ${expected}, came ${came}`);
    this.expected = expected;
    this.came = came;
  }
}

/** Thrown by a check that says nothing about this peer. */
export class NotApplicable extends Error {
  readonly remedy: string;

  constructor(reason: string, remedy: string) {
    super(reason);
    this.remedy = remedy;
  }
}

/** Throws a {@link Departure} unless `condition` holds. */
export function demand(condition: boolean, expected: string, came: string | number | bigint): asserts condition {
  if (!condition) throw new Departure(expected, String(came));
}

/** The verdict of a check that returned or threw. Any other error is no verdict, and is thrown again. */
export function verdictOf(check: () => void): Verdict {
  try {
    check();
    return { verdict: "pass" };
  } catch (error) {
    if (error instanceof Departure) return { verdict: "fail", expected: error.expected, came: error.came };
    if (error instanceof NotApplicable) return { verdict: "skip", reason: error.message, remedy: error.remedy };
    throw error;
  }
}
