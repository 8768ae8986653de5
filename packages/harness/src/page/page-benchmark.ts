import type { BenchReport } from "../benchmark/bench-report";

/** A benchmark's file on the page. */
export interface PageBenchmark {
  /** Distinguishes it on the page: its file's name. */
  readonly name: string;
  /** The file's content. */
  readonly report: BenchReport;
}
