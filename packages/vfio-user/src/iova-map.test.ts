import fc from "fast-check";
import type { IovaRangeEntry } from "./iova-map";
import { IovaMap } from "./iova-map";

const END = 2n ** 64n - 1n;
/** Addresses near one another, and near the end of the 64-bit space. */
const address = fc.oneof(fc.bigInt(0n, 40n), fc.bigInt(END - 40n, END));
const range = fc.tuple(address, fc.bigInt(1n, 12n)).map(([start, size]) => ({
  start,
  last: start + size - 1n > END ? END : start + size - 1n,
}));

test("it does what a plain list of ranges would do", () => {
  const command = fc.oneof(
    range.map((entry) => ({ kind: "add" as const, ...entry })),
    range.map((entry) => ({ kind: "remove" as const, ...entry })),
    range.map((entry) => ({ kind: "ask" as const, ...entry })),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const map = new IovaMap<IovaRangeEntry>();
      let list: IovaRangeEntry[] = [];
      const touches = (a: IovaRangeEntry, b: IovaRangeEntry) => a.start <= b.last && b.start <= a.last;
      const inside = (a: IovaRangeEntry, b: IovaRangeEntry) => a.start >= b.start && a.last <= b.last;
      for (const { kind, start, last } of commands) {
        const entry = { start, last };
        if (kind === "add") {
          const free = !list.some((other) => touches(other, entry));
          expect(map.add(entry)).toBe(free);
          if (free) list.push(entry);
        } else if (kind === "remove") {
          const removed = list.filter((other) => inside(other, entry));
          list = list.filter((other) => !inside(other, entry));
          expect(map.removeInside(start, last)).toEqual(removed.sort((a, b) => Number(a.start - b.start)));
        } else {
          expect(map.find(start)).toEqual(list.find((other) => other.start <= start && other.last >= start));
          expect(map.overlaps(start, last)).toBe(list.some((other) => touches(other, entry)));
          const cut = list.some((other) => touches(other, entry) && !inside(other, entry));
          expect(map.cutBy(start, last) !== undefined).toBe(cut);
        }
        expect(map.size).toBe(list.length);
      }
      expect([...map]).toEqual(list.sort((a, b) => (a.start < b.start ? -1 : 1)));
    }),
    { numRuns: 500 },
  );
});
