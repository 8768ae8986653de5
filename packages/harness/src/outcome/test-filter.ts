import type { TestIdentity } from "./test-identity";

/** Which tests run: those that satisfy every field given. */
export interface TestFilter {
  /** Exact ids. */
  readonly ids?: readonly string[];
  /** A regular expression found anywhere in the id, letter case ignored. */
  readonly pattern?: string;
  /** Exact ids of tests that do not run. */
  readonly except?: readonly string[];
}

export function testPredicate(filter: TestFilter): (test: TestIdentity) => boolean {
  const ids = filter.ids === undefined ? undefined : new Set(filter.ids);
  const pattern = filter.pattern === undefined ? undefined : new RegExp(filter.pattern, "i");
  const except = new Set(filter.except);
  return ({ id }) => ids?.has(id) !== false && pattern?.test(id) !== false && !except.has(id);
}
