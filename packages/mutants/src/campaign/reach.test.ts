import { ReachTable } from "./reach";
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
  expect(reach.share("slow", [1, 3])).toBe(0.5);
  expect([reach.durationMs("slow"), reach.durationMs("unknown"), reach.longestMs]).toEqual([900, 0, 900]);
});
