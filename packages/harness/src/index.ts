/**
 * What the one who starts jest on the suites needs, and no suite: `@vfio-selftests/suites/runner`. Loading every suite in
 * the starting process, too, costs seconds under emulation.
 */
export { restoreLeftovers, type RestoredValue } from "./machine-state/restore-leftovers";
export { board } from "./jest/run-state";
export { EXIT_CODES, exitCodeOf, totalsLine, totalsOf, type RunOutcome, type Totals } from "./outcome/run-outcome";
export { testPredicate, type TestFilter } from "./outcome/test-filter";
export { identify, type TestIdentity } from "./outcome/test-identity";
export type { TestOutcome } from "./outcome/test-outcome";
export { REPORT_FORMATS, type ReportFormatName } from "./formats/formats";
export type { ReportFormat, RunPlan } from "./formats/report-format";
export type { SuiteReporterOptions } from "./jest/reporter";
export { TARGET_VARIABLES, targetList, type Environment } from "./target/target-options";
