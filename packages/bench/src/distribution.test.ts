import { distributionOf } from "./distribution";

const WHAT = { where: "host", name: "wake-up", variant: "" } as const;

it("percentiles are nearest-rank", () => {
  const samples = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(distributionOf(WHAT, samples).percentiles).toEqual({ p50: 51, p90: 91, p99: 100, max: 100 });
  expect(distributionOf(WHAT, [2.5]).percentiles).toEqual({ p50: 2.5, p90: 2.5, p99: 2.5, max: 2.5 });
});

it("buckets are neighbours from the least to the greatest event, and hold all events", () => {
  const { buckets, count } = distributionOf(WHAT, [16, 1, 1.5, 1.5]);
  expect(count).toBe(4);
  expect(buckets.map((bucket) => bucket.count)).toEqual([1, 0, 0, 2, ...Array<number>(12).fill(0), 1]);
  expect(buckets[0]?.to).toBe(1);
  expect(buckets.at(-1)?.to).toBe(16);
  for (const [index, { from }] of buckets.entries()) if (index > 0) expect(from).toBe(buckets[index - 1]?.to);
});

it("an event in which the clock did not move took less than a nanosecond", () => {
  const { buckets } = distributionOf(WHAT, [0, 1]);
  expect(buckets[0]?.from).toBeGreaterThan(0);
  expect(buckets[0]?.to).toBeCloseTo(0.001, 3);
});
