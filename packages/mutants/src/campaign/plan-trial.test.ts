import { type KilledMutant, type TrialLimits, TrialPlanner } from "./plan-trial";
import { ReachTable } from "./reach";

const place = (number: number, name = "open", file = "drivers/vfio/group.c") => ({ number, file, function: name });
const MUTANTS = [place(1), place(2), place(3), place(4, "close"), place(5, "read", "drivers/vfio/cdev.c")];
const killed = (by: string, name: string, file = "drivers/vfio/group.c"): KilledMutant => ({
  by,
  function: name,
  file,
});

/** The tests of mutant 1, with the mutants in which each makes a difference, and its milliseconds. */
function testsOf(
  tests: Readonly<Record<string, readonly [differs: number[], ms: number]>>,
  kills: readonly KilledMutant[] = [],
  limits: TrialLimits = {},
): readonly string[] {
  const records = Object.entries(tests).map(
    ([test, [differs, durationMs]]) => ({ test, status: "passed", durationMs, reached: [], differs }) as const,
  );
  const trial = new TrialPlanner(new ReachTable(records), MUTANTS, limits).plan(place(1), kills);
  expect(trial).toMatchObject({ number: 1, of: records.length });
  return trial.tests;
}

test("those that noticed a mutant of the function run first, then those of the file", () => {
  const tests = { "a.x": [[1], 1], "b.x": [[1], 2], "c.x": [[1], 3], "d.x": [[1], 4] } as const;
  const kills = [killed("d.x", "close"), killed("c.x", "open"), killed("b.x", "read", "drivers/vfio/cdev.c")];
  expect(testsOf(tests as never, kills)).toEqual(["c.x", "d.x", "a.x", "b.x"]);
});

test("those that do little beside the function run before others, the faster before the slower", () => {
  const tests = { "a.x": [[1, 4, 5], 1], "b.x": [[1, 2, 3], 9], "c.x": [[1, 2], 8], "d.x": [[1, 3], 7] };
  expect(testsOf(tests as never)).toEqual(["d.x", "c.x", "b.x", "a.x"]);
});

test("one of each kind runs before the second of a kind, and the same test in another mode last", () => {
  const tests = {
    "a.iommufd.x": [[1], 1],
    "a.vfio_type1v2_iommu.x": [[1], 2],
    "a.iommufd.y": [[1], 3],
    "b.x": [[1], 4],
    "c.iommufd.x": [[1], 5],
  };
  expect(testsOf(tests as never)).toEqual([
    "a.iommufd.x",
    "b.x",
    "c.iommufd.x",
    "a.iommufd.y",
    "a.vfio_type1v2_iommu.x",
  ]);
});

test("a limit of time leaves out what does not fit, but never the first", () => {
  const tests = { "a.x": [[1], 900], "b.x": [[1, 4], 300], "c.x": [[1, 4, 5], 100] };
  expect(testsOf(tests as never, [], { mostMs: 1100 })).toEqual(["a.x", "c.x"]);
  expect(testsOf(tests as never, [], { mostMs: 100 })).toEqual(["a.x"]);
  expect(testsOf(tests as never, [], { mostTests: 2 })).toEqual(["a.x", "b.x"]);
});
