import { duration } from "../formats/duration";
import { groupBy } from "../formats/group-by";
import { shortened } from "../formats/shortened";
import { wrapLine } from "../formats/wrap-line";
import type { JsonReport } from "../json-report/json-report";
import { type ComparedResult, type ComparedTest, compareTests } from "./compared-test";

/** One run of the comparison. */
export interface ComparedRun {
  /** Distinguishes it: its machine, or its report's file. */
  readonly name: string;
  /** Its report, or why there is none. */
  readonly report: JsonReport | { readonly missing: string };
}

/** No line is longer, unless one of its words is. */
const COLUMNS = 80;
const GAP = "  ";
const MARKS = { passed: ".", failed: "F", skipped: "s" } as const;
const NO_TEST = "-";
const LEGEND = `${MARKS.passed} passed, ${MARKS.failed} failed, ${MARKS.skipped} skipped, ${NO_TEST} no result`;
/** Characters of a reason. The report has the whole text. */
const LONGEST_REASON = 300;

/**
 * For a terminal: the totals of each run, then the tests whose results are not the same in all of them, failures first.
 * Tests of one suite that differ in the same way, for the same reasons, are one line.
 */
export function comparisonLines(runs: readonly ComparedRun[]): readonly string[] {
  const tests = compareTests(runs.map(({ report }) => ("missing" in report ? undefined : report)));
  // A run without a report differs in every test, which its line has told already.
  const given = runs.map(({ report }) => !("missing" in report));
  const different = tests.filter(({ results }) => !isAlike(results.filter((_, run) => given[run])));
  return [
    ...totalsTable(runs),
    "",
    ...differenceTable(different, runs.length),
    `${tests.length - different.length} of ${tests.length} tests have the same result wherever they could run.`,
  ];
}

function totalsTable(runs: readonly ComparedRun[]): readonly string[] {
  const rows = runs.map(({ name, report }, index) => {
    const label = `${index + 1}${GAP}${name}`;
    if ("missing" in report) return { label, cells: [], missing: report.missing };
    const { passed, failed, skipped } = report.totals;
    const cells = [passed, failed, skipped].map((count) => (count === 0 ? "-" : String(count)));
    return { label, cells: [...cells, duration(report.durationMs), report.kernel ?? "none"], missing: undefined };
  });
  const head = ["passed", "failed", "skipped", "time", "kernel"];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row.cells[column]?.length ?? 0)),
  );
  const room = COLUMNS - widths.reduce((sum, width) => sum + GAP.length + width, 0) - GAP.length;
  const width = Math.min(room, Math.max(...rows.map(({ label }) => label.length)));
  const line = (label: string, cells: readonly string[]): string =>
    `${label.padEnd(GAP.length + width)}${cells.map((cell, column) => GAP + cell.padStart(widths[column] ?? 0)).join("")}`;
  return [
    line("By run", head),
    ...rows.flatMap(({ label, cells, missing }) => {
      const first = missing === undefined ? line(GAP + shortened(label, width), cells) : `${GAP}${label}`;
      return missing === undefined ? [first] : [first, ...wrapLine(`${GAP}${GAP}   no results: ${missing}`, COLUMNS)];
    }),
  ];
}

function isAlike(results: readonly ComparedResult[]): boolean {
  return new Set(results.map((result) => result?.status)).size <= 1;
}

function differenceTable(different: readonly ComparedTest[], runs: number): readonly string[] {
  if (different.length === 0) return [];
  const groups = [...groupBy(different, groupKey).values()].sort((a, b) => rank(a) - rank(b));
  const numbers = Array.from({ length: runs }, (_, index) => (index + 1) % 10).join("");
  const width = COLUMNS - 2 * GAP.length - runs;
  const line = (name: string, marks: string): string => `${name.padEnd(GAP.length + width)}${GAP}${marks}`;
  return [
    line("Different", numbers),
    ...groups.flatMap((group) => {
      const [{ id, suite, results }] = group;
      const name = group.length === 1 ? id : `${suite === "" ? "(no suite)" : suite} (${group.length} tests)`;
      return [
        line(GAP + shortened(name, width), results.map(markOf).join("")),
        ...reasonsOf(results).flatMap((reason) => wrapLine(`${GAP.repeat(3)}${reason}`, COLUMNS)),
      ];
    }),
    `${GAP}(${LEGEND})`,
    "",
  ];
}

type Group = readonly [ComparedTest, ...ComparedTest[]];

function groupKey({ suite, results }: ComparedTest): string {
  return JSON.stringify([suite, results.map(markOf), reasonsOf(results)]);
}

/** What failed somewhere comes first. */
function rank([{ results }]: Group): number {
  return results.some((result) => result?.status === "failed") ? 0 : 1;
}

function markOf(result: ComparedResult): string {
  return result === undefined ? NO_TEST : MARKS[result.status];
}

/** Why a run failed or skipped, once for all runs with the same reason: `2, 3: this IOMMU …`. */
function reasonsOf(results: readonly ComparedResult[]): readonly string[] {
  const told = results.flatMap((result, run) => {
    const reason = reasonOf(result);
    return reason === undefined ? [] : [{ reason, run: run + 1 }];
  });
  const byReason = groupBy(told, ({ reason }) => reason);
  return [...byReason].map(([reason, own]) => `${own.map(({ run }) => run).join(", ")}: ${reason}`);
}

function reasonOf(result: ComparedResult): string | undefined {
  const text = result?.status === "failed" ? result.failures?.[0] : result?.skip?.reason;
  const line = text?.split("\n")[0];
  return line !== undefined && line.length > LONGEST_REASON ? `${line.slice(0, LONGEST_REASON)}…` : line;
}
