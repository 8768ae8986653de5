import type { TestReach } from "./test-reach";
import type { Trial } from "./trial";

/** What the recording run found out about all tests. */
export class ReachTable {
  readonly #reached = new Set<number>();
  readonly #noticers = new Map<number, string[]>();
  /** Milliseconds of the longest test. */
  readonly longestMs: number;

  /** Leaves out tests that do not pass without a mutant, because they cannot notice one. */
  constructor(records: readonly TestReach[]) {
    this.longestMs = Math.max(0, ...records.map(({ durationMs }) => durationMs));
    const fastFirst = [...records].sort((a, b) => a.durationMs - b.durationMs);
    for (const { test, status, reached, differs } of fastFirst) {
      if (status !== "passed") continue;
      for (const number of reached) this.#reached.add(number);
      for (const number of differs) {
        this.#reached.add(number);
        const tests = this.#noticers.get(number);
        if (tests === undefined) this.#noticers.set(number, [test]);
        else if (!tests.includes(test)) tests.push(test);
      }
    }
  }

  isReached(number: number): boolean {
    return this.#reached.has(number);
  }

  /** The tests in which the mutant makes a difference, the fastest first. */
  noticers(number: number): readonly string[] {
    return this.#noticers.get(number) ?? [];
  }
}

/** The trial of a mutant. Tests that noticed others nearby (`killersNearby`) come first, because they look there. */
export function planTrial(
  number: number,
  noticers: readonly string[],
  killersNearby: ReadonlySet<string>,
  most = Infinity,
): Trial {
  const near = noticers.filter((test) => killersNearby.has(test));
  const others = noticers.filter((test) => !killersNearby.has(test));
  const tests = [...near, ...others];
  return { number, tests: tests.length > most ? spread(tests, most) : tests, of: tests.length };
}

/** Some of many, spread over the whole list. The fastest tests alone would belong to one suite. */
function spread<T>(items: readonly T[], count: number): T[] {
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)] as T);
}

export function parseReach(text: string): TestReach[] {
  return text.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line) as TestReach];
    } catch {
      return [];
    }
  });
}
