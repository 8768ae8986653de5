import { createHash } from "node:crypto";
import { fullId, type NamedTest } from "./test-identity";

/** One of several equal parts of a list of tests. */
export interface Shard {
  /** From 1 to `count`. */
  readonly index: number;
  /** How many parts there are. */
  readonly count: number;
}

/**
 * The tests of one shard, in their order. Each test is in exactly one shard, and shards differ by one test at most. The
 * function sorts the tests by a hash of their ids before it cuts the list. So a shard has tests of all kinds, the order
 * of the list does not matter, and a new test moves few others.
 */
export function shardTests<Test extends NamedTest>(tests: readonly Test[], { index, count }: Shard): readonly Test[] {
  const byHash = tests
    .map((test) => ({ test, hash: hashOf(fullId(test)) }))
    .sort((a, b) => (a.hash < b.hash ? -1 : Number(a.hash > b.hash)));
  const cut = (at: number): number => Math.floor((at * tests.length) / count);
  const own = new Set(byHash.slice(cut(index - 1), cut(index)).map(({ test }) => test));
  return tests.filter((test) => own.has(test));
}

function hashOf(id: string): string {
  return createHash("sha1").update(id).digest("hex");
}
