import type { TestOutcome } from "../outcome/test-outcome";
import type { Paint } from "./paint";
import { deviceOf, distinct, modeOf, NO_DEVICE } from "./plan-dimensions";
import type { RunPlan } from "./report-format";

const CELLS = { passed: "ok", failed: "FAIL", skipped: "skip" } as const;
const STATUSES = ["passed", "failed", "skipped"] as const;
const NOT_RUN = "-";
const GAP = "  ";

/** Every test: per device a table test × mode. The columns' numbers are those of the summary by mode. */
export function resultTables(
  tests: readonly TestOutcome[],
  plan: RunPlan,
  paint: Paint,
): readonly (readonly string[])[] {
  const modes = distinct(tests.map((test) => modeOf(test, plan)));
  return distinct(tests.map((test) => deviceOf(test, plan))).map((device) => {
    const own = tests.filter((test) => deviceOf(test, plan) === device);
    return deviceTable(device, own, modes, plan, paint);
  });
}

function deviceTable(
  device: string,
  tests: readonly TestOutcome[],
  modes: readonly string[],
  plan: RunPlan,
  paint: Paint,
): readonly string[] {
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
  const line = (name: string, cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => (column < cells.length - 1 ? cell.padEnd(CELLS.failed.length) : cell));
    return `${name.padEnd(width)}${padded.map((cell) => GAP + painted(cell)).join("")}`;
  };
  const painted = (cell: string): string => {
    const status = STATUSES.find((one) => CELLS[one] === cell.trim());
    return status === undefined ? cell : paint(status, cell);
  };
  return [
    line(
      title,
      modes.map((_, column) => String(column + 1)),
    ),
    ...[...rows].map(([name, cells]) => line(GAP + name, cells)),
  ];
}
