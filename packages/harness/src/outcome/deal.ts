import { fullId, type TestIdentity } from "./test-identity";

/** Milliseconds that tests took, by their full ids. */
export type Durations = Readonly<Record<string, number>>;

/** One of several parts of a run's tests that shall take equally long. */
export interface Share {
  /** From 0. */
  readonly index: number;
  readonly count: number;
  readonly durations: Durations;
}

/**
 * Deals tests into parts that take about equally long, each in the order of the list. The same list with the same
 * durations always gives the same parts. The longest test goes first, and each test to the part with the least to do.
 */
export function dealTests<Test extends TestIdentity>(
  tests: readonly Test[],
  count: number,
  durations: Durations,
): readonly (readonly Test[])[] {
  const expected = expectedDurations(tests, durations);
  const parts = Array.from({ length: count }, () => ({ tests: new Set<Test>(), milliseconds: 0 }));
  const longestFirst = [...tests].sort(
    // Tests of equal expected time are sorted by test, so that each part gets some variants of it.
    (a, b) => (expected.get(b) ?? 0) - (expected.get(a) ?? 0) || compare(withoutMode(a), withoutMode(b)),
  );
  for (const test of longestFirst) {
    const least = parts.reduce((best, part) => (part.milliseconds < best.milliseconds ? part : best));
    least.tests.add(test);
    least.milliseconds += expected.get(test) ?? 0;
  }
  return parts.map((part) => tests.filter((test) => part.tests.has(test)));
}

/** Milliseconds around each test, so that many short tests do not count as free. */
const OVERHEAD_MS = 30;
/** Milliseconds of a test of which nothing is known. */
const GUESS_MS = 1000;

/**
 * Milliseconds expected of each test: its last time, else the mean of its other modes, of its fixture, of all tests.
 */
export function expectedDurations<Test extends TestIdentity>(
  tests: readonly Test[],
  durations: Durations,
): ReadonlyMap<Test, number> {
  const known = tests.flatMap((test) => {
    const duration = durations[fullId(test)];
    return duration === undefined ? [] : [{ test, duration }];
  });
  const byTest = means(known, withoutMode);
  const byFixture = means(known, ({ fixture }) => fixture);
  const overall = means(known, () => "").get("");
  const expected = (test: Test): number =>
    durations[fullId(test)] ?? byTest.get(withoutMode(test)) ?? byFixture.get(test.fixture) ?? overall ?? GUESS_MS;
  return new Map(tests.map((test) => [test, expected(test) + OVERHEAD_MS]));
}

function means(
  known: readonly { readonly test: TestIdentity; readonly duration: number }[],
  groupOf: (test: TestIdentity) => string,
): ReadonlyMap<string, number> {
  const groups = new Map<string, number[]>();
  for (const { test, duration } of known) {
    const group = groupOf(test);
    groups.set(group, [...(groups.get(group) ?? []), duration]);
  }
  return new Map(
    [...groups].map(([group, values]) => [group, values.reduce((sum, value) => sum + value, 0) / values.length]),
  );
}

function withoutMode({ fixture, flavour = "", test }: TestIdentity): string {
  return [fixture, flavour, test].join(".");
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
