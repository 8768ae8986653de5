import type { IovaRange } from "@vfio-selftests/core";
import type { PseudoRandom } from "../dma/pseudo-random";

/** Up to eight ranges that do not overlap, in order, some of them neighbours. */
export function someRanges(random: PseudoRandom): IovaRange[] {
  let next = BigInt(random.below(100));
  return Array.from({ length: 1 + random.below(8) }, () => {
    const start = next + BigInt(random.below(20));
    const last = start + BigInt(random.below(40));
    next = last + 1n;
    return { start, last };
  });
}

/** Closes the smallest gaps until no more than `most` ranges are left, the first of equal ones first. */
export function combined(ranges: readonly IovaRange[], most: number): IovaRange[] {
  const gaps = ranges.slice(1).map(({ start }, at) => ({ at, gap: start - (ranges[at] as IovaRange).last }));
  const closed = new Set(
    gaps
      .sort((a, b) => Number(a.gap - b.gap))
      .slice(0, Math.max(0, ranges.length - most))
      .map(({ at }) => at),
  );
  const result: IovaRange[] = [];
  ranges.forEach((range, at) => {
    const before = result.at(-1);
    if (before !== undefined && closed.has(at - 1)) result[result.length - 1] = { ...before, last: range.last };
    else result.push(range);
  });
  return result;
}
