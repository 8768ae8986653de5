import type { Durations } from "../outcome/deal";
import { Pace, timeLeftText } from "../outcome/pace";
import type { TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import type { RunSize } from "./report-format";

/** The time that a run still takes which runs its tests one after the other. */
export class TimeLeft {
  /** The tests of one repetition, in their order. */
  readonly #tests: readonly TestIdentity[];
  /** The number of tests of all repetitions. */
  readonly #count: number;
  readonly #pace: Pace;
  #done = 0;
  #running: { readonly test: TestIdentity; readonly since: number } | undefined;

  constructor(size: RunSize | undefined, durations: Durations) {
    this.#tests = size?.all ?? [];
    this.#count = size?.tests ?? 0;
    this.#pace = new Pace(this.#tests, durations);
  }

  started(test: TestIdentity): void {
    this.#running = { test, since: performance.now() };
  }

  finished(test: TestOutcome): void {
    this.#running = undefined;
    this.#done += 1;
    this.#pace.finished(test);
  }

  /** Undefined as long as there would only be a guess. */
  get text(): string | undefined {
    if (this.#tests.length === 0 || !this.#pace.isKnown) return undefined;
    const rest = this.#pace.timeOf(this.#tests.slice(this.#done % this.#tests.length));
    const roundsAfter = Math.ceil((this.#count - this.#done) / this.#tests.length) - 1;
    return timeLeftText(rest + this.#pace.timeOf(this.#tests) * Math.max(0, roundsAfter) - this.#spent());
  }

  /** Milliseconds that the running test has taken. One that takes longer than expected takes nothing from the others. */
  #spent(): number {
    if (this.#running === undefined) return 0;
    const { test, since } = this.#running;
    return Math.min(performance.now() - since, this.#pace.timeOf([test]));
  }
}
