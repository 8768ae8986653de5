import fc from "fast-check";
import { decodeLines, encodeLines } from "./line-ranges";

test("what is encoded is decoded: each line once, in order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 })), (lines) => {
      expect(decodeLines(encodeLines(lines))).toEqual([...new Set(lines)].sort((a, b) => a - b));
    }),
  );
});

test("lines side by side are one range", () => {
  expect(encodeLines([9, 3, 7, 8, 4])).toBe("3-4,7-9");
  expect(encodeLines([])).toBe("");
});
