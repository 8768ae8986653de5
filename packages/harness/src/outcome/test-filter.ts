import { dealTests, type Share } from "./deal";
import { type Shard, shardTests } from "./shard";
import { fullId, type TestIdentity } from "./test-identity";

/** Which tests run: those that satisfy every field given. */
export interface TestFilter {
  /** Exact ids. */
  readonly ids?: readonly string[];
  /** A regular expression that matches anywhere in the id, in either case. */
  readonly pattern?: string;
  /** Exact ids of tests that do not run. */
  readonly except?: readonly string[];
  /** The part to take of the tests that the fields above leave. */
  readonly shard?: Shard;
}

/** What one process takes of a run's tests when several share them: its share, or the tests with these full ids. */
export type TestPart = { readonly share: Share } | { readonly only: readonly string[] };

/** The tests of a run, in their order. */
export function selectTests<Test extends TestIdentity>(tests: readonly Test[], filter: TestFilter): readonly Test[] {
  const ids = filter.ids === undefined ? undefined : new Set(filter.ids);
  const pattern = filter.pattern === undefined ? undefined : new RegExp(filter.pattern, "i");
  const except = new Set(filter.except);
  const wanted = tests.filter(({ id }) => ids?.has(id) !== false && pattern?.test(id) !== false && !except.has(id));
  return filter.shard === undefined ? wanted : shardTests(wanted, filter.shard);
}

/** The tests of a run that this process runs. */
export function takePart<Test extends TestIdentity>(tests: readonly Test[], part?: TestPart): readonly Test[] {
  if (part === undefined) return tests;
  if ("share" in part) return dealTests(tests, part.share.count, part.share.durations)[part.share.index] ?? [];
  const only = new Set(part.only);
  return tests.filter((test) => only.has(fullId(test)));
}
