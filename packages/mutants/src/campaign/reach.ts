import type { TestReach } from "./test-reach";

/** What the recording run found out about all tests. */
export class ReachTable {
  readonly #reached = new Set<number>();
  readonly #noticers = new Map<number, string[]>();
  readonly #differing = new Map<string, ReadonlySet<number>>();
  readonly #durations = new Map<string, number>();
  /** Milliseconds of the longest test. */
  readonly longestMs: number;

  /** Leaves out tests that do not pass without a mutant, because they cannot notice one. */
  constructor(records: readonly TestReach[]) {
    this.longestMs = Math.max(0, ...records.map(({ durationMs }) => durationMs));
    const fastFirst = [...records].sort((a, b) => a.durationMs - b.durationMs);
    for (const { test, status, durationMs, reached, differs } of fastFirst) {
      if (status !== "passed") continue;
      this.#durations.set(test, durationMs);
      this.#differing.set(test, new Set(differs));
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

  /** Of all mutants that differ in the test, the share that these are, 0 to 1: how much the test is about their function. */
  share(test: string, mutants: readonly number[]): number {
    const differing = this.#differing.get(test);
    if (differing === undefined) return 0;
    return mutants.filter((number) => differing.has(number)).length / differing.size;
  }

  /** Milliseconds of a test without a mutant; 0 where nothing is known of it. */
  durationMs(test: string): number {
    return this.#durations.get(test) ?? 0;
  }
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
