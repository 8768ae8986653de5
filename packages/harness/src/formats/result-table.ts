import { totalsLine, totalsOf } from "../outcome/run-outcome";
import type { TestOutcome } from "../outcome/test-outcome";
import type { RunPlan } from "./report-format";

const CELLS = { passed: "ok", failed: "FAIL", skipped: "skip" } as const;
const NOT_RUN = "-";
const NO_DEVICE = "";
const GAP = "  ";

/** The summary by mode, and per device a table test × mode. The modes' numbers are the tables' columns. */
export function resultTables(tests: readonly TestOutcome[], plan: RunPlan): string[] {
  if (tests.length === 0) return [];
  const modes = distinct(tests.map((test) => modeOf(test, plan)));
  const width = Math.max(...modes.map((mode) => mode.length));
  const lines = ["By mode"];
  for (const [column, mode] of modes.entries()) {
    const totals = totalsOf(tests.filter((test) => modeOf(test, plan) === mode));
    lines.push(`  ${column + 1}  ${mode.padEnd(width)}  ${totalsLine(totals)}`);
  }
  for (const device of distinct(tests.map((test) => deviceOf(test, plan)))) {
    const own = tests.filter((test) => deviceOf(test, plan) === device);
    lines.push("", ...deviceTable(device, own, modes, plan));
  }
  return lines;
}

function deviceTable(device: string, tests: readonly TestOutcome[], modes: readonly string[], plan: RunPlan): string[] {
  const rows = new Map<string, string[]>();
  for (const test of tests) {
    const name = [test.fixture, test.flavour, test.test].filter((part) => part !== undefined && part !== "").join(".");
    const cells = rows.get(name) ?? modes.map(() => NOT_RUN);
    const column = modes.indexOf(modeOf(test, plan));
    // For a repeated test, one failure counts more than any pass.
    if (cells[column] !== CELLS.failed) cells[column] = CELLS[test.status];
    rows.set(name, cells);
  }
  const title = device === NO_DEVICE ? "Tests" : `Device ${device}`;
  const width = Math.max(title.length, ...[...rows.keys()].map((name) => GAP.length + name.length));
  const line = (name: string, cells: readonly string[]) =>
    `${name.padEnd(width)}${cells.map((cell) => GAP + cell.padEnd(CELLS.failed.length)).join("")}`.trimEnd();
  return [
    line(
      title,
      modes.map((_, column) => String(column + 1)),
    ),
    ...[...rows].map(([name, cells]) => line(GAP + name, cells)),
  ];
}

function modeOf(test: TestOutcome, plan: RunPlan): string {
  return test.mode ?? plan.defaultMode;
}

function deviceOf(test: TestOutcome, plan: RunPlan): string {
  return test.device ?? plan.device ?? NO_DEVICE;
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}
