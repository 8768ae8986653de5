import { type BenchResult, goalText, reached } from "@vfio-selftests/harness/reports";
import { table } from "./report";

const spread = (median: number) => ({ min: median - 1, median, max: median + 1, runs: 9 });
const result = (goal: BenchResult["goal"]): BenchResult => ({
  where: "host",
  name: "read32",
  variant: "",
  unit: "ns",
  typescript: spread(15),
  c: spread(5),
  ...(goal ? { goal } : {}),
});

test.each([
  [{ kind: "ratio", limit: 3 } as const, 3, true],
  [{ kind: "difference", limit: 9 } as const, 10, false],
  [{ kind: "value", limit: 10, atLeast: true } as const, 15, true],
])("goal %j", (goal, figure, isReached) => {
  expect(goalText(result(goal))).toContain(` ${figure.toFixed(2)} `);
  expect(reached(result(goal))).toBe(isReached);
});

test("the table names a missed goal, and runs with their spread", () => {
  const text = table([result({ kind: "difference", limit: 9 })]);
  expect(text).toContain("TS−C 10.00 ≤ 9 MISSED");
  expect(text).toContain("15.00 (14.00–16.00)  5.00 (4.00–6.00)  9");
});

test("without a goal nothing is judged", () => {
  expect(reached(result(undefined))).toBeUndefined();
  expect(table([result(undefined)])).not.toMatch(/reached|MISSED/);
});
