import type { TestReach } from "../campaign/test-reach";
import type { Seen } from "./kernel-switch";
import type { SuiteVerdict } from "./suite-run";

/** What recording test by test needs of the VM. */
export interface RecordRig {
  take(): readonly Seen[];
  run(test: string): Promise<SuiteVerdict>;
  tell(record: TestReach): void;
}

/** Runs each test alone and reports which mutants it reached, for suites that contain nothing of ours. */
export async function recordEach(rig: RecordRig, tests: readonly string[]): Promise<void> {
  for (const test of tests) {
    rig.take();
    const started = performance.now();
    const verdict = await rig.run(test);
    rig.tell({
      test,
      status: statusOf(verdict),
      durationMs: Math.round(performance.now() - started),
      ...split(rig.take()),
    });
  }
}

function statusOf(verdict: SuiteVerdict): TestReach["status"] {
  if (verdict.kind !== "passed") return "failed";
  return verdict.skipped.length > 0 ? "skipped" : "passed";
}

/** Separates the mutants that would have made a difference from those that were only reached. */
export function split(seen: readonly Seen[]): Pick<TestReach, "reached" | "differs"> {
  const differs = new Set(seen.filter((one) => one.differs).map(({ number }) => number));
  const reached = new Set(seen.map(({ number }) => number).filter((number) => !differs.has(number)));
  return { reached: ascending(reached), differs: ascending(differs) };
}

function ascending(numbers: ReadonlySet<number>): number[] {
  return [...numbers].sort((a, b) => a - b);
}
