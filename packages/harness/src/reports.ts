/** What reads, merges, compares and shows JSON reports. Apart from the index, because no test needs it. */
export type { ComparedRun } from "./comparison/comparison-lines";
export { comparisonLines } from "./comparison/comparison-lines";
export { fileSink } from "./formats/report-sink";
export type { JsonReport, JsonTest, PlannedTest, RunFacts } from "./json-report/json-report";
export { parseReport, readReport } from "./json-report/read-report";
export type { KcidbReport, KcidbSource, KcidbStatus, KcidbTest } from "./kcidb/kcidb-report";
export { kcidbReport } from "./kcidb/kcidb-report";
export { mergeReports } from "./merge/merge-reports";
export type { NamedReport } from "./merge/merge-source";
export { totalsLine } from "./outcome/run-outcome";
export type { PageRun } from "./page/page-run";
export { reportPage } from "./page/report-page";
