import type { CampaignLine, MutantResult } from "../campaign/result";
import type { Trial, TrialPlan } from "../campaign/trial";
import type { SuiteVerdict } from "./suite-run";

/** What trying a mutant needs of the VM. */
export interface TrialRig {
  activate(number: number): void;
  deactivate(): void;
  /** Runs the tests up to the first failure. */
  run(tests: readonly string[]): Promise<SuiteVerdict>;
  /** What the kernel has reported of itself since the last call. */
  splats(): readonly string[];
  tell(line: CampaignLine): void;
}

/** Tries one mutant after the other. Resolves with whether the VM is fit for more. */
export async function tryMutants(rig: TrialRig, { trials }: Pick<TrialPlan, "trials">): Promise<boolean> {
  for (const trial of trials) {
    if (!(await tryMutant(rig, trial))) return false;
  }
  return true;
}

async function tryMutant(rig: TrialRig, { number, tests, of, fresh = false }: Trial): Promise<boolean> {
  const told = { number, ran: tests.length, of };
  const tell = (result: MutantResult): void => rig.tell({ kind: "result", result });
  rig.tell({ kind: "start", number, tests: tests.length });
  rig.splats();
  rig.activate(number);
  let verdict: SuiteVerdict;
  try {
    verdict = await rig.run(tests);
  } finally {
    rig.deactivate();
  }
  const [splat] = rig.splats();
  switch (verdict.kind) {
    case "passed":
      tell({
        ...told,
        ...(splat === undefined ? { status: "survived" } : { status: "splat", why: splat }),
        ...(verdict.skipped.length > 0 && { skipped: verdict.skipped }),
      });
      // A kernel that has found a fault in itself may go on finding it.
      return splat === undefined;
    case "hung":
      tell({ ...told, status: "timed-out", by: verdict.test, ...(splat !== undefined && { why: splat }) });
      return false;
    case "failed": {
      const { test, failure } = verdict;
      const works = (await rig.run(test === "" ? tests.slice(0, 1) : [test])).kind === "passed";
      if (!works && !fresh) {
        rig.tell({ kind: "stale", number, test });
        return false;
      }
      tell({ ...told, status: "killed", by: test, why: splat ?? failure });
      return works && splat === undefined;
    }
  }
}
