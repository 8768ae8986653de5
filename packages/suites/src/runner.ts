/**
 * What the one who starts jest on the suites needs, and no suite: `@vfio-selftests/suites/runner`. Loading every suite in
 * the starting process, too, costs seconds under emulation.
 */
export { restoreLeftovers, type RestoredValue } from "./machine-state/restore-leftovers";
export { board } from "./outcome/board";
export { EXIT_CODES, exitCodeOf, totalsLine, totalsOf, type RunOutcome, type Totals } from "./outcome/run-outcome";
export { testPredicate, type TestFilter } from "./outcome/test-filter";
export { identify, type TestIdentity } from "./outcome/test-identity";
export type { TestOutcome } from "./outcome/test-outcome";
export { REPORT_FORMATS, type ReportFormatName } from "./reporters/formats";
export type { ReportFormat, RunPlan } from "./reporters/report-format";
export type { SuiteReporterOptions } from "./reporter";
export { TARGET_VARIABLES, targetList, type Environment } from "./target-environment";
