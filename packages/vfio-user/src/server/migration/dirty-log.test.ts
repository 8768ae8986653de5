import fc from "fast-check";
import { DirtyLog, LOG_PAGE } from "./dirty-log";

const PAGE = BigInt(LOG_PAGE);
/** Around the border of two pieces of the log, and at the end of the address space. */
const BASES = [0n, 32_768n * PAGE - 8n * PAGE, (1n << 64n) - 16n * PAGE];

const write = fc.record({ at: fc.nat(15 * LOG_PAGE), length: fc.integer({ min: 1, max: LOG_PAGE }) });

/** The numbers of the bits. */
function bits(bitmap: Uint8Array): number[] {
  return Array.from({ length: bitmap.length * 8 }, (_, bit) => bit).filter(
    (bit) => ((bitmap[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0,
  );
}

test("every written page is told once, and no other, in pages of any size", () => {
  const factor = fc.constantFrom(1, 2, 4, 16);
  fc.assert(
    fc.property(fc.constantFrom(...BASES), fc.array(write), factor, (base, writes, pages) => {
      const log = new DirtyLog([]);
      const size = pages * LOG_PAGE;
      const expected = new Set<number>();
      for (const { at, length } of writes) {
        log.written(base + BigInt(at), length);
        for (let byte = at; byte < at + length; byte += 1) expected.add(Math.floor(byte / size));
      }
      const report = (): number[] => {
        const bitmap = new Uint8Array(8);
        log.report(base, 16n * PAGE, BigInt(size), bitmap);
        return bits(bitmap);
      };
      expect(report()).toEqual([...expected].sort((a, b) => a - b));
      expect(report()).toEqual([]);
    }),
  );
});

test("writes outside the ranges are not logged, and a report forgets only its own range", () => {
  const log = new DirtyLog([{ start: PAGE, last: 3n * PAGE - 1n }]);
  log.written(0n, 8 * LOG_PAGE);
  const second = new Uint8Array(8);
  log.report(2n * PAGE, PAGE, PAGE, second);
  expect(bits(second)).toEqual([0]);
  const all = new Uint8Array(8);
  log.report(0n, 8n * PAGE, PAGE, all);
  expect(bits(all)).toEqual([1]);
});

test("a page that lies in the report in part is told, and not forgotten", () => {
  const log = new DirtyLog([]);
  log.written(0n, 2 * LOG_PAGE);
  const bitmap = new Uint8Array(8);
  log.report(512n, PAGE, PAGE, bitmap);
  expect(bits(bitmap)).toEqual([0]);
  const all = new Uint8Array(8);
  log.report(0n, 2n * PAGE, PAGE, all);
  expect(bits(all)).toEqual([0, 1]);
  const none = new Uint8Array(8);
  log.report(0n, 2n * PAGE, PAGE, none);
  expect(bits(none)).toEqual([]);
});
