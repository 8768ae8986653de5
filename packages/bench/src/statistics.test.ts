import { percentile, spreadOf } from "./statistics";

test("the spread of one sample is that sample", () => {
  expect(spreadOf([3])).toEqual({ min: 3, median: 3, max: 3, runs: 1 });
});

test("samples need not be sorted, and numbers sort as numbers", () => {
  expect(spreadOf([10, 9, 100])).toEqual({ min: 9, median: 10, max: 100, runs: 3 });
});

test("percentiles are nearest-rank", () => {
  const sorted = Array.from({ length: 100 }, (_, i) => i);
  expect([50, 95, 99, 100].map((rank) => percentile(sorted, rank))).toEqual([50, 95, 99, 99]);
  expect(() => percentile([], 50)).toThrow("no samples");
});
