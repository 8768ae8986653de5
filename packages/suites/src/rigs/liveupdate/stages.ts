import { skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../suite-target";

/**
 * Defines the tests of both kernels of a live update: `stage_1` preserves, and `stage_2` looks for it on the next kernel. A
 * run on one kernel skips the tests of the other.
 */
export function liveUpdateStages(
  { stage }: Pick<SuiteTarget, "stage">,
  tests: { readonly before: () => void; readonly after: () => void },
): void {
  for (const [number, define] of [tests.before, tests.after].map((define, index) => [index + 1, define] as const)) {
    describe(`stage_${number}`, () => {
      beforeEach(() => {
        if (stage === number) return;
        const reason =
          stage === undefined
            ? "this run is no part of a live update"
            : `it belongs to the other kernel, stage ${number}`;
        const remedy =
          "vfio-selftests lab kexec; elsewhere VFIO_SELFTESTS_STAGE=1 before a kexec, VFIO_SELFTESTS_STAGE=2 after it";
        skip({ reason, remedy });
      });
      define();
    });
  }
}
