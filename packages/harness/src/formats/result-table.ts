import type { TestOutcome } from "../outcome/test-outcome";
import { deviceOf, distinct, modeOf, NO_DEVICE } from "./plan-dimensions";
import type { RunPlan } from "./report-format";

const CELLS = { passed: "ok", failed: "FAIL", skipped: "skip" } as const;
const NOT_RUN = "-";
const GAP = "  ";

/** Every test: per device a table test × mode. The columns' numbers are those of the summary by mode. */
export function resultTables(tests: readonly TestOutcome[], plan: RunPlan): readonly string[] {
  const modes = distinct(tests.map((test) => modeOf(test, plan)));
  const tables = distinct(tests.map((test) => deviceOf(test, plan))).map((device) => {
    const own = tests.filter((test) => deviceOf(test, plan) === device);
    return deviceTable(device, own, modes, plan);
  });
  return tables.flatMap((table, index) => (index === 0 ? table : ["", ...table]));
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
