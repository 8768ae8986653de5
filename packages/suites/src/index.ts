export * from "@vfio-selftests/harness";

export { collectTests } from "@vfio-selftests/harness";
export { DriverBench, findDriver, type DriverBenchOptions } from "./rigs/driver-rig";
export { BUILT_IN_DRIVERS, chooseDrivers } from "@vfio-selftests/cli";
export { errorWithCode } from "@vfio-selftests/harness";
export { DEFAULT_TIMEOUT_MS, eachMode, fixture, requireMode } from "@vfio-selftests/harness";
export { kernelTarget } from "@vfio-selftests/cli";
export { DEFAULT_IRQ_TEST, parseIrqTestOptions, type IrqTestOptions } from "./rigs/kvm-irq/irq-test-options";
export { modelsTarget } from "@vfio-selftests/cli";
export { note, notChecked } from "@vfio-selftests/harness";
export { SkipError, skip, type SkipReason } from "@vfio-selftests/harness";
export { identify, type TestIdentity } from "@vfio-selftests/harness";
export type { TestOutcome, TestStatus } from "@vfio-selftests/harness";
export { GuardedDriver } from "@vfio-selftests/harness";
export { GuardedValue } from "@vfio-selftests/harness";
export { SUITES, defineSuites, type SuiteEntry } from "./suite-list";
export { defaultMode, type Suite, type SuiteTarget } from "./suite-target";
export { UPSTREAM_FIXTURES, UPSTREAM_IDS, upstreamFixtureIds } from "./upstream-ids";
