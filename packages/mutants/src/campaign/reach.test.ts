import { planTrial, ReachTable } from "./reach";
import type { TestReach } from "./test-reach";

const record = (test: string, durationMs: number, differs: number[], reached: number[] = []): TestReach => ({
  test,
  status: "passed",
  durationMs,
  reached,
  differs,
});

test("the tests in which a mutant matters come fastest first; one that only passes by is none", () => {
  const reach = new ReachTable([
    record("slow", 900, [1, 2]),
    record("fast", 10, [1], [2, 3]),
    { ...record("broken", 1, [1, 4]), status: "failed" },
  ]);
  expect(reach.noticers(1)).toEqual(["fast", "slow"]);
  expect(reach.noticers(2)).toEqual(["slow"]);
  expect([1, 2, 3, 4].map((number) => reach.isReached(number))).toEqual([true, true, true, false]);
  expect(reach.noticers(3)).toEqual([]);
});

test("tests that noticed something nearby run first, and a limit takes some of all", () => {
  const tests = ["a", "b", "c", "d", "e", "f"];
  expect(planTrial(1, tests, new Set(["d"])).tests).toEqual(["d", "a", "b", "c", "e", "f"]);
  expect(planTrial(1, tests, new Set(), 3)).toEqual({ number: 1, tests: ["a", "c", "e"], of: 6 });
});
