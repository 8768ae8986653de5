import { addMeasurements, BOOT, EMPTY_DATABASE, forgetFiles, measuredIds, testsByLine } from "./coverage-database";
import type { FilePatch, Hunk } from "./patch";
import { patchCoverage, reachingTests } from "./patch-coverage";

const file = (ran: readonly number[]) => ({
  lines: new Map([10, 11, 12, 20].map((line) => [line, ran.includes(line) ? 1 : 0])),
  functions: new Map([["f", { line: 9, lastLine: 13, count: 1 }]]),
});
const MACHINE = "igb+intel";
const measured = new Map([
  [BOOT, new Map([["a.c", file([20])]])],
  ["dma.map", new Map([["a.c", file([10, 11])]])],
  ["dma.unmap", new Map([["a.c", file([11])]])],
]);
const database = addMeasurements(EMPTY_DATABASE, MACHINE, measured);
const patch = (first: number, count: number): FilePatch[] => [
  { path: "a.c", hunks: [{ before: { first, count: 0 }, after: { first, count } }] },
];
const unchanged = (): Hunk[] => [];

test("each line with code says who reaches it, and which nobody does", () => {
  expect(patchCoverage(patch(9, 4), database, unchanged)).toEqual([
    { path: "a.c", line: 10, state: "reached", tests: ["dma.map"] },
    { path: "a.c", line: 11, state: "reached", tests: ["dma.map", "dma.unmap"] },
    { path: "a.c", line: 12, state: "missed", tests: [] },
  ]);
});

test("a line that the measured kernel did not have stands for those in whose place it came", () => {
  const since: Hunk[] = [{ before: { first: 10, count: 2 }, after: { first: 10, count: 1 } }];
  expect(patchCoverage(patch(10, 2), database, () => since)).toEqual([
    { path: "a.c", line: 10, state: "new", tests: ["dma.map", "dma.unmap"] },
    // The line after it was line 12.
    { path: "a.c", line: 11, state: "missed", tests: [] },
  ]);
});

test("the boot reaches lines, too, but is no test to run", () => {
  const lines = patchCoverage(patch(20, 1), database, unchanged);
  expect(lines).toMatchObject([{ state: "reached", tests: [BOOT] }]);
  expect(reachingTests(lines)).toEqual([]);
  expect(reachingTests(patchCoverage(patch(10, 2), database, unchanged))).toEqual(["dma.map", "dma.unmap"]);
});

test("files that were not measured have nothing to say", () => {
  const other: FilePatch[] = [
    { ...patch(1, 5)[0]!, path: "Makefile" },
    { ...patch(1, 5)[0]!, path: undefined },
  ];
  expect(patchCoverage(other, database, unchanged)).toEqual([]);
});

test("a file whose text has changed is forgotten in every test", () => {
  expect(forgetFiles(database, ["a.c"])).toEqual({
    ...EMPTY_DATABASE,
    machines: { [MACHINE]: { [BOOT]: {}, "dma.map": {}, "dma.unmap": {} } },
  });
});

test("a test that is measured again is as it is now; the others stay", () => {
  const again = addMeasurements(database, MACHINE, new Map([["dma.map", new Map([["a.c", file([12])]])]]));
  expect(again.machines[MACHINE]).toMatchObject({ "dma.map": { "a.c": "12" }, "dma.unmap": { "a.c": "11" } });
  expect(again.lines).toEqual({ "a.c": "10-12,20" });
});

test("what a test reached on one machine stays when another is measured", () => {
  const both = addMeasurements(database, "edu+amd", new Map([["dma.map", new Map([["a.c", file([12])]])]]));
  expect([...testsByLine(both, "a.c")]).toEqual([
    [10, ["dma.map"]],
    [11, ["dma.map", "dma.unmap"]],
    [12, ["dma.map"]],
    [20, [BOOT]],
  ]);
  expect(measuredIds(both)).toEqual([BOOT, "dma.map", "dma.unmap"]);
});
