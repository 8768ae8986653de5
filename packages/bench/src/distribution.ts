import type { Bucket, Distribution, Measurement } from "@vfio-selftests/harness/reports";
import { percentile } from "./statistics";

/** Each bucket ends 19 % above its beginning. */
const BUCKETS_PER_DOUBLING = 4;
/** A nanosecond in microseconds. A clock that did not move says less than it took. */
const LEAST = 0.001;

/** How the events of a measurement were distributed. @param samples at least one, microseconds */
export function distributionOf(measurement: Omit<Measurement, "unit">, samples: readonly number[]): Distribution {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (rank: number): number => percentile(sorted, rank);
  return {
    ...measurement,
    unit: "µs",
    count: sorted.length,
    percentiles: { p50: at(50), p90: at(90), p99: at(99), max: at(100) },
    buckets: bucketsOf(sorted),
  };
}

/** From the first to the last with an event. Those in between are there, even without one. */
function bucketsOf(sorted: readonly number[]): Bucket[] {
  const counts = new Map<number, number>();
  for (const sample of sorted) {
    const index = Math.ceil(Math.log2(Math.max(sample, LEAST)) * BUCKETS_PER_DOUBLING);
    counts.set(index, (counts.get(index) ?? 0) + 1);
  }
  const indexes = [...counts.keys()];
  const [first = 0, last = 0] = [indexes[0], indexes.at(-1)];
  return Array.from({ length: last - first + 1 }, (_, i) => ({
    from: 2 ** ((first + i - 1) / BUCKETS_PER_DOUBLING),
    to: 2 ** ((first + i) / BUCKETS_PER_DOUBLING),
    count: counts.get(first + i) ?? 0,
  }));
}
