import { figureOf, type Goal, reached, type Result } from "./result";
import type { Spread } from "./statistics";

const KIND: Record<Goal["kind"], string> = { ratio: "TS/C", difference: "TS−C", value: "TS" };

function number(value: number): string {
  if (value >= 1000) return value.toFixed(0);
  return value >= 100 ? value.toFixed(1) : value.toFixed(2);
}

function spread(value: Spread | undefined): string {
  return value === undefined ? "–" : `${number(value.median)} (${number(value.min)}–${number(value.max)})`;
}

function goal(result: Result): string {
  if (result.goal === undefined) return "";
  const figure = figureOf(result);
  if (figure === undefined) return "";
  const sign = result.goal.atLeast === true ? "≥" : "≤";
  const verdict = reached(result) === true ? "reached" : "MISSED";
  return `${KIND[result.goal.kind]} ${number(figure)} ${sign} ${result.goal.limit} ${verdict}`;
}

/** The table for people: medians with (min–max) over the runs. */
export function table(results: readonly Result[]): string {
  const rows = [
    ["where", "what", "variant", "unit", "TypeScript", "C", "runs", "goal"],
    ...results.map((r) => [
      r.where,
      r.name,
      r.variant,
      r.unit,
      spread(r.typescript),
      spread(r.c),
      String(r.typescript.runs),
      goal(r),
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
