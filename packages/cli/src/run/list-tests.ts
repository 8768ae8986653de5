import type { DriverRegistry } from "@vfio-selftests/core/driver";
import { collectTests, selectTests, type TestFilter, type TestIdentity } from "@vfio-selftests/harness";
import { defineSuites, type SuiteTarget } from "@vfio-selftests/suites";
import type { RunTarget } from "./run-target";

/** The tests that a run with these options would choose. */
export async function listTests(target: RunTarget, filter: TestFilter): Promise<readonly TestIdentity[]> {
  return selectTests(await testsOf(target), filter);
}

/**
 * All tests of a target. What drivers there are changes none of them, so a caller may leave them out: then no code of a
 * driver runs in this process.
 */
export async function testsOf(
  { entry, options }: RunTarget,
  drivers?: DriverRegistry,
): Promise<readonly TestIdentity[]> {
  const target: SuiteTarget =
    entry === "kernel"
      ? (await import("../target/kernel-target.js")).kernelTarget(options, drivers)
      : (await import("../target/models-target.js")).modelsTarget(options, drivers);
  return collectTests(() => defineSuites(target));
}
