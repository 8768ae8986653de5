import {
  collectTests,
  defineSuites,
  kernelTarget,
  modelsTarget,
  testPredicate,
  type TestFilter,
} from "@vfio-selftests/suites";
import { ExitCode } from "../exit-codes";
import type { RunTarget } from "./run-target";

/** Prints the ids of the tests that would run, a line each; with several devices the address before it. */
export function listTests(target: RunTarget, filter: TestFilter): number {
  const suites = target.entry === "kernel" ? kernelTarget() : modelsTarget();
  const tests = collectTests(() => defineSuites(suites)).filter(testPredicate(filter));
  for (const { device, id } of tests) console.log(device === undefined ? id : `${device} ${id}`);
  return tests.length > 0 ? ExitCode.ok : ExitCode.skipped;
}
