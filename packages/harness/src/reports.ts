/** What reads, merges, compares and shows JSON reports. Apart from the index, because no test needs it. */
export type {
  BenchReport,
  BenchResult,
  Bucket,
  Distribution,
  Goal,
  Measurement,
  Percentiles,
  Spread,
} from "./benchmark/bench-report";
export { BENCH_VERSION, goalText, reached, spreadText } from "./benchmark/bench-report";
export { parseBenchReport } from "./benchmark/read-bench-report";
export type { ComparedRun } from "./comparison/comparison-lines";
export { comparisonLines } from "./comparison/comparison-lines";
export { fileSink } from "./formats/report-sink";
export type { JsonReport, JsonTest, PlannedTest, RunFacts } from "./json-report/json-report";
export { invalidReport, readReportText } from "./json-report/parse-file";
export { parseReport, readReport } from "./json-report/read-report";
export type { KcidbReport, KcidbSource, KcidbStatus, KcidbTest } from "./kcidb/kcidb-report";
export { kcidbReport } from "./kcidb/kcidb-report";
export { mergeReports } from "./merge/merge-reports";
export type { NamedReport } from "./merge/merge-source";
export { totalsLine } from "./outcome/run-outcome";
export type { PageBenchmark } from "./page/page-benchmark";
export type { PageCoverage, PageShare } from "./page/coverage";
export type { PageRun } from "./page/page-run";
export { type PageContent, reportPage } from "./page/report-page";
