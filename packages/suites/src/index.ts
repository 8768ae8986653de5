export * from "./runner";

export { collectTests } from "./catalogue";
export { DriverBench, findDriver, type DriverBenchOptions } from "./driver-bench";
export { BUILT_IN_DRIVERS, chooseDrivers } from "./driver-choice";
export { errorWithCode } from "./expect-code";
export { DEFAULT_TIMEOUT_MS, eachMode, fixture, requireMode } from "./fixture";
export { kernelTarget } from "./kernel-target";
export { DEFAULT_IRQ_TEST, parseIrqTestOptions, type IrqTestOptions } from "./kvm-irq/irq-test-options";
export { modelsTarget } from "./models-target";
export { note, notChecked } from "./outcome/note";
export { SkipError, skip, type SkipReason } from "./outcome/skip";
export { identify, type TestIdentity } from "./outcome/test-identity";
export type { TestOutcome, TestStatus } from "./outcome/test-outcome";
export { GuardedDriver } from "./machine-state/guarded-driver";
export { GuardedValue } from "./machine-state/guarded-value";
export { SUITES, defineSuites, type SuiteEntry } from "./suite-list";
export { defaultMode, type Suite, type SuiteTarget } from "./suite-target";
export { UPSTREAM_FIXTURES, UPSTREAM_IDS, upstreamFixtureIds } from "./upstream-ids";
