import { BENCH_VERSION, type BenchReport } from "../bench-report";

const WHAT = { where: "host", name: "register read", variant: "ioat", unit: "µs" } as const;

/** A benchmark's file with one figure and one distribution. */
export function sampleBenchReport(fields: Partial<BenchReport> = {}): BenchReport {
  return {
    version: BENCH_VERSION,
    date: "2026-11-22T03:00:00.000Z",
    node: "v22.1.0",
    cpu: "2 × Xeon",
    rounds: 7,
    results: [
      {
        ...WHAT,
        typescript: { min: 4, median: 8, max: 16, runs: 7 },
        c: { min: 1, median: 2, max: 4, runs: 7 },
        goal: { kind: "ratio", limit: 3 },
      },
    ],
    distributions: [
      {
        ...WHAT,
        count: 13,
        percentiles: { p50: 8, p90: 16, p99: 16, max: 16 },
        buckets: [
          { from: 2, to: 4, count: 1 },
          { from: 4, to: 8, count: 8 },
          { from: 8, to: 16, count: 4 },
        ],
      },
    ],
    ...fields,
  };
}
