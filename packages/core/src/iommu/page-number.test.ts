import fc from "fast-check";
import { PAGE_NUMBER_END, pageAddress, pageNumber, toBigint } from "./page-number";

test("an integer up to 2^53 becomes the same bigint", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 53 }), (value) => toBigint(value) === BigInt(value)));
  for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53]) expect(toBigint(value)).toBe(BigInt(value));
});

test("every page has its address, and every address its page", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: PAGE_NUMBER_END - 1 }), fc.nat(4095), (page, offset) => {
      expect(pageAddress(page)).toBe(BigInt(page) * 4096n);
      expect(pageNumber(pageAddress(page) + BigInt(offset))).toBe(page);
    }),
  );
});
