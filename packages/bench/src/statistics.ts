import type { Spread } from "@vfio-selftests/harness/reports";

/** @param samples at least one. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = [...samples].sort((a, b) => a - b);
  return {
    min: percentile(sorted, 0),
    median: percentile(sorted, 50),
    max: percentile(sorted, 100),
    runs: sorted.length,
  };
}

/** Nearest-rank percentile (0..100) of ascending samples. */
export function percentile(sorted: readonly number[], rank: number): number {
  const index = Math.min(sorted.length - 1, Math.floor((sorted.length * rank) / 100));
  const value = sorted[index];
  if (value === undefined) throw new RangeError("percentile of no samples");
  return value;
}
