import { percentile } from "../statistics";

/** Microseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** One line of the mapping benchmark: figures, or why there are none. */
export type MappingFigures = { readonly mode: string; readonly thing: string; readonly size: string } & (
  { readonly count: number; readonly map: Percentiles; readonly unmap: Percentiles } | { readonly notMeasured: string }
);

/** @param nanoseconds at least one sample. */
export function percentilesOf(nanoseconds: readonly number[]): Percentiles {
  const sorted = [...nanoseconds].sort((a, b) => a - b);
  const at = (rank: number) => percentile(sorted, rank) / 1000;
  return { p50: at(50), p90: at(90), p99: at(99), max: at(100) };
}

export function mappingTable(figures: readonly MappingFigures[]): string {
  const ranks = ["p50", "p90", "p99", "max"] as const;
  const rows = [
    ["mode", "memory", "size", "n", ...ranks.map((r) => `map ${r}`), ...ranks.map((r) => `unmap ${r}`)],
    ...figures.map((line) => {
      const head = [line.mode, line.thing, line.size];
      if ("notMeasured" in line) return [...head, `not measured: ${line.notMeasured}`];
      const values = [line.map, line.unmap].flatMap((part) => ranks.map((rank) => part[rank].toFixed(1)));
      return [...head, String(line.count), ...values];
    }),
  ];
  // A line without figures ends with its reason, which is no column.
  const measured = rows.filter((row) => row.length === rows[0]?.length);
  const width = (column: number) => Math.max(...measured.map((row) => row[column]?.length ?? 0));
  return rows
    .map((row) => row.map((cell, column) => (column < 3 ? cell.padEnd(width(column)) : cell.padStart(width(column)))))
    .map((row) => row.join("  "))
    .join("\n");
}
