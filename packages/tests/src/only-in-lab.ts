import { environmentOptions, skip } from "@vfio-selftests/harness";

/** Skips the tests of the enclosing block outside the lab's VM, for a reason such as "the test ends processes". */
export function onlyInLab(reason: string): void {
  beforeEach(() => {
    if (environmentOptions().lab) return;
    skip({ reason, remedy: "run it in the lab: pnpm vfio lab run -- node scripts/jest-in-lab.cjs" });
  });
}
