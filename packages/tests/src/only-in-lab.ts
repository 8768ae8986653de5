import { kernelTarget, skip } from "@vfio-selftests/suites";

/** Skips the tests of the enclosing block elsewhere than in the lab's VM, for a reason such as "the test ends processes". */
export function onlyInLab(reason: string): void {
  beforeEach(() => {
    if (kernelTarget().kind === "lab") return;
    skip({ reason, remedy: "run it in the lab: pnpm vfio lab run -- node scripts/jest-in-lab.cjs" });
  });
}
