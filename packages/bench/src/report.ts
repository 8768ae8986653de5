import { type BenchResult, goalText, spreadText } from "@vfio-selftests/harness/reports";

/** The table for people: medians with (min–max) over the runs. */
export function table(results: readonly BenchResult[]): string {
  const rows = [
    ["where", "what", "variant", "unit", "TypeScript", "C", "runs", "goal"],
    ...results.map((r) => [
      r.where,
      r.name,
      r.variant,
      r.unit,
      spreadText(r.typescript),
      r.c === undefined ? "–" : spreadText(r.c),
      String(r.typescript.runs),
      goalText(r),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
