import { type Durations, expectedDurations } from "./deal";
import { fullId, type TestIdentity } from "./test-identity";
import type { TestOutcome } from "./test-outcome";

/** Milliseconds of finished tests from which the speed of the others is estimated. */
const MEASURED_MS = 10_000;

/** How long the tests of a run take: by how long each took last time, and how fast this run has been until now. */
export class Pace {
  readonly #expected: ReadonlyMap<string, number>;
  readonly #hasDurations: boolean;
  /** Milliseconds that the finished tests were expected to take. */
  #expectedMs = 0;
  #takenMs = 0;

  /** `tests` are those of the run, `durations` those of an earlier one. */
  constructor(tests: readonly TestIdentity[], durations: Durations) {
    this.#expected = new Map([...expectedDurations(tests, durations)].map(([test, ms]) => [keyOf(test), ms]));
    this.#hasDurations = tests.some((test) => durations[keyOf(test)] !== undefined);
  }

  /** Whether it knows more than a guess: durations of an earlier run, or the speed of this one. */
  get isKnown(): boolean {
    return this.#hasDurations || this.#takenMs >= MEASURED_MS;
  }

  /** Learns from a finished test how fast this run is. */
  finished(test: TestOutcome): void {
    this.#expectedMs += this.#expected.get(keyOf(test)) ?? 0;
    this.#takenMs += test.durationMs;
  }

  /** Milliseconds that these tests take, one after the other. */
  timeOf(tests: readonly TestIdentity[]): number {
    const slowness = this.#expectedMs < MEASURED_MS ? 1 : this.#takenMs / this.#expectedMs;
    return tests.reduce((sum, test) => sum + (this.#expected.get(keyOf(test)) ?? 0), 0) * slowness;
  }
}

/** Each repetition of a test is expected to take as long. */
function keyOf({ device, id }: TestIdentity): string {
  return fullId({ device, id });
}

/** How long a run still takes, for people. */
export function timeLeftText(milliseconds: number): string {
  const seconds = Math.ceil(Math.max(0, milliseconds) / 1000);
  return seconds < 100 ? `${seconds} s left` : `${Math.round(seconds / 60)} min left`;
}
