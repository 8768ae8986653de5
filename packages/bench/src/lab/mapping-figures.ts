import type { Distribution } from "@vfio-selftests/harness/reports";

/** One line of the mapping benchmark: figures, or why there are none. */
export type MappingFigures = { readonly mode: string; readonly thing: string; readonly size: string } & (
  | { readonly count: number; readonly map: Distribution; readonly unmap: Distribution }
  | { readonly notMeasured: string }
);

export function mappingTable(figures: readonly MappingFigures[]): string {
  const ranks = ["p50", "p90", "p99", "max"] as const;
  const rows = [
    ["mode", "memory", "size", "n", ...ranks.map((r) => `map ${r}`), ...ranks.map((r) => `unmap ${r}`)],
    ...figures.map((line) => {
      const head = [line.mode, line.thing, line.size];
      if ("notMeasured" in line) return [...head, `not measured: ${line.notMeasured}`];
      const values = [line.map, line.unmap].flatMap((part) => ranks.map((rank) => part.percentiles[rank].toFixed(1)));
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
