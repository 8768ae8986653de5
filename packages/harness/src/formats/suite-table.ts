import { totalsLine, totalsOf } from "../outcome/run-outcome";
import type { TestOutcome } from "../outcome/test-outcome";
import { duration } from "./duration";
import type { Paint } from "./paint";
import { deviceOf, distinct, modeOf } from "./plan-dimensions";
import type { RunPlan } from "./report-format";
import { shortened } from "./shortened";

/** No line of the tables is longer. */
const COLUMNS = 80;
const GAP = "  ";

/** The totals by mode, by device where there are several, and by suite. */
export function suiteSections(
  tests: readonly TestOutcome[],
  plan: RunPlan,
  paint: Paint,
): readonly (readonly string[])[] {
  if (tests.length === 0) return [];
  const modes = distinct(tests.map((test) => modeOf(test, plan)));
  const devices = distinct(tests.map((test) => deviceOf(test, plan)));
  const modeLines = modes.map((mode, column) => ({ mark: `${column + 1}${GAP}`, name: mode }));
  return [
    ["By mode", ...totalLines(modeLines, (mode) => tests.filter((test) => modeOf(test, plan) === mode), paint)],
    devices.length === 1
      ? []
      : [
          "By device",
          ...totalLines(
            devices.map((name) => ({ mark: "", name })),
            (device) => tests.filter((test) => deviceOf(test, plan) === device),
            paint,
          ),
        ],
    suiteTable(tests, modes, plan, paint),
  ];
}

interface Line {
  readonly mark: string;
  readonly name: string;
}

function totalLines(
  lines: readonly Line[],
  testsOf: (name: string) => readonly TestOutcome[],
  paint: Paint,
): readonly string[] {
  const labelOf = ({ name }: Line): string => (name === "" ? "no device" : name);
  const width = Math.max(...lines.map((line) => labelOf(line).length));
  return lines.map((line) => {
    const totals = totalsLine(totalsOf(testsOf(line.name)), paint);
    return `${GAP}${line.mark}${labelOf(line).padEnd(width)}${GAP}${totals}`;
  });
}

/** What the tests of a suite did in one mode, as one character. A failure outweighs passes, and a pass outweighs skips. */
const MARKS = { failed: "F", passed: ".", skipped: "s" } as const;
const NO_TEST = "-";
const COUNTED = ["passed", "failed", "skipped"] as const;
const NONE = "-";
const LEGEND = `${MARKS.passed} passed, ${MARKS.failed} failed, ${MARKS.skipped} skipped, ${NO_TEST} no test`;

/** One line for each suite: its counts and time, and a character for each mode. */
function suiteTable(
  tests: readonly TestOutcome[],
  modes: readonly string[],
  plan: RunPlan,
  paint: Paint,
): readonly string[] {
  const rows = distinct(tests.map(({ fixture }) => fixture)).map((suite) => {
    const own = tests.filter(({ fixture }) => fixture === suite);
    const totals = totalsOf(own);
    const time = duration(own.reduce((sum, { durationMs }) => sum + durationMs, 0));
    const marks = modes.map((mode) => markOf(own.filter((test) => modeOf(test, plan) === mode)));
    return {
      name: suite === "" ? "(no suite)" : suite,
      cells: [...COUNTED.map((status) => countText(totals[status])), time, marks.join("")],
    };
  });
  const head = [...COUNTED, "time", modes.map((_, column) => (column + 1) % 10).join("")];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map(({ cells }) => cells[column]?.length ?? 0)),
  );
  const room = COLUMNS - widths.reduce((sum, width) => sum + GAP.length + width, 0) - GAP.length;
  const width = Math.min(room, Math.max("By suite".length, ...rows.map(({ name }) => name.length)));
  const line = (name: string, cells: readonly string[], painted = (cell: string, _column: number) => cell): string => {
    const padded = cells.map((cell, column) => GAP + painted(cell.padStart(widths[column] ?? 0), column));
    return `${name.padEnd(GAP.length + width)}${padded.join("")}`;
  };
  const paintCell = (cell: string, column: number): string => {
    const counted = COUNTED[column];
    if (counted !== undefined) return cell.trim() === NONE ? cell : paint(counted, cell);
    return column === head.length - 1 ? paintMarks(cell, paint) : cell;
  };
  return [
    line("By suite", head),
    ...rows.map(({ name, cells }) => line(GAP + shortened(name, width), cells, paintCell)),
    `${GAP}(by mode: ${LEGEND})`,
  ];
}

function markOf(tests: readonly TestOutcome[]): string {
  const found = Object.entries(MARKS).find(([status]) => tests.some((test) => test.status === status));
  return found?.[1] ?? NO_TEST;
}

function paintMarks(marks: string, paint: Paint): string {
  return marks.replace(/./g, (mark) => {
    const status = COUNTED.find((one) => MARKS[one] === mark);
    return status === undefined ? mark : paint(status, mark);
  });
}

function countText(count: number): string {
  return count === 0 ? NONE : String(count);
}
