import fc from "fast-check";
import type { DriverLimits } from "./driver";
import { checkLimits, memcpyChunks } from "./memcpy-chunks";

const limits = (minMemcpySize: number, maxMemcpySize: number, alignment = 1): DriverLimits => ({
  minMemcpySize,
  maxMemcpySize,
  maxMemcpyCount: 1,
  alignment,
});

const pairs = (size: number, driver: DriverLimits): [number, number][] =>
  [...memcpyChunks(size, driver)].map(({ offset, size: length }) => [offset, length]);

describe("memcpyChunks", () => {
  test.each<[string, number, DriverLimits, [number, number][]]>([
    ["one chunk when it fits", 100, limits(1, 100), [[0, 100]]],
    [
      "full chunks and a rest",
      250,
      limits(1, 100),
      [
        [0, 100],
        [100, 100],
        [200, 50],
      ],
    ],
    [
      "a last chunk that begins earlier where the rest is too small",
      1034,
      limits(60, 1024),
      [
        [0, 1024],
        [974, 60],
      ],
    ],
    [
      "chunks of a multiple of the alignment",
      28,
      limits(1, 10, 4),
      [
        [0, 8],
        [8, 8],
        [16, 8],
        [24, 4],
      ],
    ],
    [
      "a least size rounded up to the alignment",
      36,
      limits(6, 32, 4),
      [
        [0, 32],
        [28, 8],
      ],
    ],
  ])("%s", (_, size, driver, expected) => {
    expect(pairs(size, driver)).toEqual(expected);
  });

  test.each([
    [59, limits(60, 1024), "size is 59; allowed: at least 60 bytes"],
    [0, limits(1, 10), "size is 0; allowed: at least 1 bytes"],
    [6, limits(1, 16, 4), "at least 4 bytes, in multiples of 4"],
    [1.5, limits(1, 10), "size is 1.5"],
    [NaN, limits(1, 10), "size is NaN"],
  ])("refuses a size of %p", (size, driver, message) => {
    expect(() => [...memcpyChunks(size, driver)]).toThrow(message);
  });

  test("keeps the limits and covers every byte, whatever they are", () => {
    const arbitrary = fc
      .record({
        alignment: fc.constantFrom(1, 2, 4, 8, 64),
        min: fc.integer({ min: 1, max: 80 }),
        more: fc.nat(200),
        units: fc.integer({ min: 1, max: 700 }),
      })
      .map(({ alignment, min, more, units }) => ({
        driver: limits(min, Math.ceil(min / alignment) * alignment + more, alignment),
        size: Math.max(units, Math.ceil(min / alignment)) * alignment,
      }));
    fc.assert(
      fc.property(arbitrary, ({ driver, size }) => {
        checkLimits("x", driver);
        const covered = new Uint8Array(size);
        for (const { offset, size: length } of memcpyChunks(size, driver)) {
          expect(length).toBeGreaterThanOrEqual(driver.minMemcpySize);
          expect(length).toBeLessThanOrEqual(driver.maxMemcpySize);
          expect([offset % driver.alignment, length % driver.alignment]).toEqual([0, 0]);
          expect(offset + length).toBeLessThanOrEqual(size);
          covered.fill(1, offset, offset + length);
        }
        expect(covered).not.toContain(0);
      }),
    );
  });
});

describe("checkLimits", () => {
  test.each([
    [limits(0, 10), "minMemcpySize is 0"],
    [limits(1, NaN), "maxMemcpySize is NaN"],
    [limits(11, 10), "no multiple of alignment 1 lies between minMemcpySize 11 and maxMemcpySize 10"],
    [limits(1, 9, 3), "alignment is 3, must be a power of two"],
    [limits(1, 2 ** 33, 2 ** 32), "alignment is 4294967296"],
    [limits(5, 7, 4), "no multiple of alignment 4"],
  ])("refuses limits that no copy can keep: %p", (driver, message) => {
    expect(() => checkLimits("acme", driver)).toThrow(`driver acme has impossible limits: ${message}`);
  });
});
