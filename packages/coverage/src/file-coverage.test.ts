import fc from "fast-check";
import { type Coverage, coverageSince, mergeCoverage } from "./file-coverage";

const counts = fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.nat(5)));
const file = fc.tuple(counts, fc.array(fc.tuple(fc.constantFrom("f", "g"), fc.nat(5)))).map(([lines, functions]) => ({
  lines: new Map(lines),
  functions: new Map(functions.map(([name, count]) => [name, { line: 1, lastLine: 9, count }])),
}));
const coverage: fc.Arbitrary<Coverage> = fc
  .array(fc.tuple(fc.constantFrom("a.c", "b.h"), file))
  .map((files) => new Map(files));

const count = (part: Coverage, path: string, line: number): number => part.get(path)?.lines.get(line) ?? 0;

test("merging adds the counts of each line and function, in any order", () => {
  fc.assert(
    fc.property(coverage, coverage, (a, b) => {
      const sum = mergeCoverage([a, b]);
      for (const path of ["a.c", "b.h"]) {
        for (let line = 1; line <= 20; line++)
          expect(count(sum, path, line)).toBe(count(a, path, line) + count(b, path, line));
      }
      expect(sortedText(mergeCoverage([b, a]))).toEqual(sortedText(sum));
    }),
  );
});

test("what ran since a reading is what was added to it", () => {
  fc.assert(
    fc.property(coverage, coverage, (a, b) => {
      const since = coverageSince(a, mergeCoverage([a, b]));
      for (const [path, { lines, functions }] of b) {
        for (const [line, ran] of lines) expect(count(since, path, line)).toBe(ran);
        for (const [name, { count: ran }] of functions) expect(since.get(path)?.functions.get(name)?.count).toBe(ran);
      }
    }),
  );
});

function sortedText(part: Coverage): unknown {
  return [...part].sort().map(([path, { lines, functions }]) => [path, [...lines].sort(), [...functions].sort()]);
}
