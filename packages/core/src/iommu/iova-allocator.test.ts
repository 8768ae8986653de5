import fc from "fast-check";
import { IovaAllocator } from "./iova-allocator";

const PAGE = 4096;
const GIB = 2 ** 30;
const END = (1n << 64n) - 1n;

/** The allocator must be equivalent to this one, which has one flag per page. */
class NaiveAllocator {
  readonly free = new Map<number, boolean>();

  constructor(ranges: readonly (readonly [first: number, last: number])[]) {
    for (const [first, last] of ranges) {
      for (let page = first; page <= last; page++) this.free.set(page, true);
    }
  }

  allocate(pages: number, step: number, limit: number): number | undefined {
    for (let start = 0; start + pages <= limit; start += step) {
      if (this.all(start, pages, true)) {
        this.set(start, pages, false);
        return start;
      }
    }
    return undefined;
  }

  all(start: number, pages: number, state: boolean): boolean {
    return Array.from({ length: pages }, (_, index) => this.free.get(start + index)).every((free) => free === state);
  }

  set(start: number, pages: number, state: boolean): void {
    for (let page = start; page < start + pages; page++) this.free.set(page, state);
  }

  count(): number {
    return [...this.free.values()].filter(Boolean).length;
  }
}

const address = (page: number) => BigInt(page) * BigInt(PAGE);

describe("IovaAllocator", () => {
  it("gives the lowest addresses first, aligned to the largest power of two in the length", () => {
    const allocator = new IovaAllocator([{ start: 0n, last: 0xffff_ffffn }]);
    expect(allocator.allocate(PAGE)).toBe(0n);
    expect(allocator.allocate(2 * 2 ** 20)).toBe(0x20_0000n);
    expect(allocator.allocate(3 * PAGE)).toBe(0x2000n);
    expect(allocator.allocate(1)).toBe(0x1000n);
    expect(allocator.allocate(GIB)).toBe(0x4000_0000n);
    expect(allocator.allocate(100, { alignment: 2 ** 24 })).toBe(0x100_0000n);
  });

  it("uses holes again, unlike upstream's", () => {
    const allocator = new IovaAllocator([
      { start: 0x1000n, last: 0x2fffn },
      { start: 0x10_0000n, last: 0x1f_ffffn },
    ]);
    expect(allocator.allocate(0x10_0000)).toBe(0x10_0000n);
    expect(allocator.allocate(PAGE)).toBe(0x1000n);
  });

  it("honours the limit of a device with few address bits", () => {
    const allocator = new IovaAllocator([{ start: 0xfff_e000n, last: 0xffff_ffffn }]);
    expect(allocator.allocate(PAGE, { below: 1n << 28n })).toBe(0xfff_e000n);
    expect(allocator.allocate(PAGE, { below: 1n << 28n })).toBe(0xfff_f000n);
    expect(() => allocator.allocate(PAGE, { below: 1n << 28n })).toThrow("below 0x10000000");
    expect(allocator.allocate(PAGE, { below: 1n << 64n })).toBe(0x1000_0000n);
  });

  it("reaches the last page of a 64-bit space", () => {
    const allocator = new IovaAllocator([{ start: END - 0xfffn, last: END }]);
    expect(allocator.allocate(PAGE)).toBe(END - 0xfffn);
    expect(() => allocator.allocate(PAGE)).toThrow("the largest free extent has 0 bytes");
    allocator.free(END - 0xfffn, PAGE);
    expect(allocator.freeBytes).toBe(4096n);
  });

  it("leaves out parts of pages at the ends of a range", () => {
    const allocator = new IovaAllocator([{ start: 0x800n, last: 0x37ffn }]);
    expect(allocator.freeBytes).toBe(0x2000n);
    expect(allocator.allocate(PAGE)).toBe(0x1000n);
  });

  it("knows the whole 64-bit space", () => {
    expect(new IovaAllocator([{ start: 0n, last: END }]).freeBytes).toBe(1n << 64n);
  });

  it.each([
    ["a free area", 0x3000n, PAGE],
    ["an area half free", 0x1000n, 2 * PAGE],
    ["an area outside the ranges", 0x20_0000n, PAGE],
  ])("refuses to free %s", (_, iova, length) => {
    const allocator = new IovaAllocator([{ start: 0n, last: 0xf_ffffn }]);
    allocator.allocate(2 * PAGE);
    expect(() => {
      allocator.free(iova, length);
    }).toThrow("once");
  });

  it.each([
    ["unsorted", [0x2000n, 0x2fffn], [0x0n, 0xfffn]],
    ["overlapping", [0n, 0x1fffn], [0x1000n, 0x2fffn]],
    ["turned round", [0x2000n, 0xfffn], [0x3000n, 0x3fffn]],
    ["beyond 64 bits", [0n, 0xfffn], [1n << 63n, 1n << 64n]],
  ] as const)("refuses ranges that are %s", (_, first, second) => {
    const ranges = [first, second].map(([start, last]) => ({ start, last }));
    expect(() => new IovaAllocator(ranges)).toThrow("sorted, disjoint ranges below 2^64");
  });

  it.each([
    [0, {}, "length is 0"],
    [2.5, {}, "length is 2.5"],
    [PAGE, { alignment: 3 * PAGE }, "a power of two"],
    [PAGE, { alignment: 0 }, "a power of two"],
    // A logarithm would take it for one.
    [PAGE, { alignment: 2 ** 49 + 1 }, "a power of two"],
    [PAGE, { below: -1n }, "0 to 2^64"],
  ])("refuses allocate(%p, %p)", (length, request, message) => {
    expect(() => new IovaAllocator([{ start: 0n, last: 0xffffn }]).allocate(length, request)).toThrow(message);
  });

  it("behaves as a flag per page would", () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant("allocate" as const),
        pages: fc.integer({ min: 1, max: 9 }),
        exponent: fc.integer({ min: 0, max: 4 }),
        below: fc.option(fc.integer({ min: 0, max: 80 }), { nil: undefined }),
      }),
      fc.record({ kind: fc.constant("free" as const), which: fc.nat(20) }),
      fc.record({ kind: fc.constant("take" as const), start: fc.nat(80), pages: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ kind: fc.constant("reserve" as const), start: fc.nat(80), pages: fc.integer({ min: 1, max: 20 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ranges = [
          [1, 23],
          [24, 40],
          [48, 70],
        ] as const;
        const naive = new NaiveAllocator(ranges);
        const allocator = new IovaAllocator(
          ranges.map(([first, last]) => ({ start: address(first), last: address(last + 1) - 1n })),
        );
        const held: [start: number, pages: number][] = [];
        for (const action of steps) {
          if (action.kind === "allocate") {
            const { pages, exponent, below } = action;
            const request = {
              alignment: PAGE << exponent,
              ...(below === undefined ? {} : { below: address(below) }),
            };
            const expected = naive.allocate(pages, 1 << exponent, below ?? 100);
            if (expected === undefined) {
              expect(() => allocator.allocate(pages * PAGE, request)).toThrow("no free IOVA");
            } else {
              expect(allocator.allocate(pages * PAGE, request)).toBe(address(expected));
              held.push([expected, pages]);
            }
          } else if (action.kind === "free") {
            const [entry] = held.splice(action.which % Math.max(1, held.length), 1);
            if (entry === undefined) continue;
            allocator.free(address(entry[0]), entry[1] * PAGE);
            naive.set(entry[0], entry[1], true);
          } else if (action.kind === "take") {
            const { start, pages } = action;
            const free = naive.all(start, pages, true);
            expect(allocator.take(address(start), pages * PAGE)).toBe(free);
            if (!free) continue;
            naive.set(start, pages, false);
            held.push([start, pages]);
          } else {
            const { start, pages } = action;
            for (const part of allocator.reserve(address(start), pages * PAGE)) {
              const first = Number(part.start) / PAGE;
              const count = Number(part.last - part.start + 1n) / PAGE;
              expect(naive.all(first, count, true)).toBe(true);
              naive.set(first, count, false);
              held.push([first, count]);
            }
            expect([...naive.free].filter(([page, free]) => free && page >= start && page < start + pages)).toEqual([]);
          }
          expect(allocator.freeBytes).toBe(address(naive.count()));
        }
      }),
    );
  });
});
