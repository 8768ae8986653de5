import fc from "fast-check";
import { argumentOffset, ERRNO_WORDS, RESULTS, resultWord, WORD_COUNT } from "./racer-memory";

it("words, results and arguments do not overlap", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 6 }), (lengths) => {
      const steps = lengths.map((length) => ({ length }));
      const results = steps.flatMap((_, step) =>
        (Object.keys(RESULTS) as (keyof typeof RESULTS)[]).map((name) => resultWord(step, name)),
      );
      expect(new Set(results).size).toBe(results.length);
      let free = Math.max(WORD_COUNT, ...results.map((word) => word + ERRNO_WORDS)) * 4;
      steps.forEach(({ length }, step) => {
        const offset = argumentOffset(steps, step);
        expect(offset).toBeGreaterThanOrEqual(free);
        expect(offset % 8).toBe(0);
        free = offset + length;
      });
      expect(argumentOffset(steps, steps.length)).toBeGreaterThanOrEqual(free);
    }),
  );
});
