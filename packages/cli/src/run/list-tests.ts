import { collectTests, selectTests, type TestFilter, type TestIdentity } from "@vfio-selftests/harness";
import { defineSuites, type SuiteTarget } from "@vfio-selftests/suites";
import type { RunTarget } from "./run-target";

/** The tests that a run with these options would choose. */
export async function listTests({ entry, options }: RunTarget, filter: TestFilter): Promise<readonly TestIdentity[]> {
  const target: SuiteTarget =
    entry === "kernel"
      ? (await import("../target/kernel-target.js")).kernelTarget(options)
      : (await import("../target/models-target.js")).modelsTarget(options);
  return selectTests(
    collectTests(() => defineSuites(target)),
    filter,
  );
}
