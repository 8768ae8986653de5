import type { BenchResult, Distribution } from "@vfio-selftests/harness/reports";

/** What a part of the benchmark measured. */
export interface Figures {
  readonly results: readonly BenchResult[];
  /** Of the measurements that time single events. */
  readonly distributions: readonly Distribution[];
}

export function joined(parts: readonly Figures[]): Figures {
  return {
    results: parts.flatMap(({ results }) => results),
    distributions: parts.flatMap(({ distributions }) => distributions),
  };
}
