/** The version of the benchmark's file. A reader refuses any other: it would lose what it does not know. */
export const BENCH_VERSION = 1;

/** What `pnpm bench --json FILE` writes. */
export interface BenchReport {
  /** The version of this layout. */
  readonly version: number;
  /** When it was measured: `2026-11-22T03:00:00.000Z`. */
  readonly date: string;
  /** Node's version, `v22.1.0`. */
  readonly node: string;
  /** How many CPUs of which kind. */
  readonly cpu: string;
  /** How often each measurement was repeated. */
  readonly rounds: number;
  /** Measurements that have one figure. */
  readonly results: readonly BenchResult[];
  /** Measurements of many single events. */
  readonly distributions: readonly Distribution[];
}

/** What is measured. */
export interface Measurement {
  /** Whether the machine itself was measured, or the lab's VM. */
  readonly where: "host" | "lab";
  /** What was measured: `map 4 KiB`. */
  readonly name: string;
  /** IOMMU mode, model, …; empty without one. */
  readonly variant: string;
  /** The unit of all its figures: `ns`, `µs`, `ms`, `s`. */
  readonly unit: string;
}

/** TypeScript beside C, measured in turns in the same run. */
export interface BenchResult extends Measurement {
  /** The toolkit's figure. */
  readonly typescript: Spread;
  /** Absent where a C counterpart makes no sense. */
  readonly c?: Spread;
  /** What the figure must reach. Absent: it is only shown. */
  readonly goal?: Goal;
}

/** The figures of several runs of one measurement, in the measurement's own unit. */
export interface Spread {
  /** The smallest. */
  readonly min: number;
  /** The middle one. */
  readonly median: number;
  /** The largest. */
  readonly max: number;
  /** How many runs there were. */
  readonly runs: number;
}

/** How to compare the figure with its goal. */
export interface Goal {
  /** `ratio` and `difference` compare with C's figure; `value` is the figure itself. */
  readonly kind: "ratio" | "difference" | "value";
  /** Upper bound, except for `atLeast`. */
  readonly limit: number;
  /** Whether `limit` is a lower bound. Default false. */
  readonly atLeast?: boolean;
}

/** How the single events of a measurement were distributed. */
export interface Distribution extends Measurement {
  /** Number of events. */
  readonly count: number;
  /** Its percentiles. */
  readonly percentiles: Percentiles;
  /** Neighbours, ascending. */
  readonly buckets: readonly Bucket[];
}

/** Nearest-rank percentiles, in the measurement's own unit. */
export interface Percentiles {
  /** Half of the events took at most this. */
  readonly p50: number;
  /** 90 of 100. */
  readonly p90: number;
  /** 99 of 100. */
  readonly p99: number;
  /** The longest. */
  readonly max: number;
}

/** The events above `from`, up to `to` inclusive. Both are above 0, because the scale is logarithmic. */
export interface Bucket {
  /** Lower bound, exclusive. */
  readonly from: number;
  /** Upper bound, inclusive. */
  readonly to: number;
  /** How many events. */
  readonly count: number;
}

/** The figure that the goal concerns. Undefined without a goal, or without the C figure that the goal needs. */
export function figureOf({ goal, typescript, c }: BenchResult): number | undefined {
  switch (goal?.kind) {
    case "ratio":
      return c && typescript.median / c.median;
    case "difference":
      return c && typescript.median - c.median;
    case "value":
      return typescript.median;
    case undefined:
      return undefined;
  }
}

/** Whether the result reaches its goal; undefined without a goal. */
export function reached(result: BenchResult): boolean | undefined {
  const figure = figureOf(result);
  if (figure === undefined || result.goal === undefined) return undefined;
  return result.goal.atLeast === true ? figure >= result.goal.limit : figure <= result.goal.limit;
}

const KIND: Readonly<Record<Goal["kind"], string>> = { ratio: "TS/C", difference: "TS−C", value: "TS" };

/** The goal in words, with the figure: `TS/C 1.02 ≤ 1.1 reached`. Empty without a goal. */
export function goalText(result: BenchResult): string {
  const figure = figureOf(result);
  if (result.goal === undefined || figure === undefined) return "";
  const sign = result.goal.atLeast === true ? "≥" : "≤";
  const verdict = reached(result) === true ? "reached" : "MISSED";
  return `${KIND[result.goal.kind]} ${figureText(figure)} ${sign} ${result.goal.limit} ${verdict}`;
}

/** Three digits or more, as exact as these measurements are. */
export function figureText(value: number): string {
  if (value >= 1000) return value.toFixed(0);
  return value >= 100 ? value.toFixed(1) : value.toFixed(2);
}

/** `15.00 (14.00–16.00)`: median, minimum and maximum. */
export function spreadText({ median, min, max }: Spread): string {
  return `${figureText(median)} (${figureText(min)}–${figureText(max)})`;
}
