import fc from "fast-check";
import { drawSample, seededRandom } from "./sample";

const mutants = fc
  .array(fc.constantFrom("call", "errno", "flag"), { maxLength: 60 })
  .map((operators) => operators.map((operator, i) => ({ operator, number: i + 1 })));
const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const sizes = fc.nat(70);

test("the same seed draws the same sample, and a larger one begins with it", () => {
  fc.assert(
    fc.property(mutants, seeds, sizes, sizes, (all, seed, one, more) => {
      const small = drawSample(all, one, seededRandom(seed));
      const large = drawSample(all, one + more, seededRandom(seed));
      expect(large.slice(0, small.length)).toEqual(small);
    }),
  );
});

test("a sample holds as many mutants as it should, none twice", () => {
  fc.assert(
    fc.property(mutants, seeds, sizes, (all, seed, size) => {
      const sample = drawSample(all, size, seededRandom(seed));
      expect(sample).toHaveLength(Math.min(size, all.length));
      expect(new Set(sample).size).toBe(sample.length);
    }),
  );
});

test("operators have the same share, as long as they have mutants", () => {
  const all = Array.from({ length: 100 }, (_, i) => ({ operator: i < 97 ? "condition" : "flag", number: i }));
  const sample = drawSample(all, 10, seededRandom(5));
  expect(sample.filter(({ operator }) => operator === "flag")).toHaveLength(3);
});

test("seeds draw different samples, and every mutant is drawn by some", () => {
  const all = Array.from({ length: 20 }, (_, number) => ({ operator: "call", number }));
  const drawn = Array.from({ length: 200 }, (_, seed) => drawSample(all, 1, seededRandom(seed))[0]?.number);
  expect(new Set(drawn).size).toBe(20);
});
