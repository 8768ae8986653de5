/** Gives whole numbers from 0 to below `bound`, the same for the same seed on every machine. */
export type Random = (bound: number) => number;

/** splitmix32 (Guy L. Steele Jr. et al., "Fast splittable pseudorandom number generators", 2014, with a 32-bit state). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return Math.floor(((mixed >>> 0) / 2 ** 32) * bound);
  };
}

/**
 * Draws up to `size` of the mutants, with the same share for each operator as long as it has some. Without shares, two
 * of three would be conditions. A larger sample of the same seed begins with the smaller one.
 */
export function drawSample<M extends { readonly operator: string }>(
  mutants: readonly M[],
  size: number,
  random: Random,
): M[] {
  const byOperator = new Map<string, M[]>();
  for (const mutant of mutants) {
    const list = byOperator.get(mutant.operator);
    if (list === undefined) byOperator.set(mutant.operator, [mutant]);
    else list.push(mutant);
  }
  const piles = [...byOperator.keys()].sort().map((operator) => shuffled(byOperator.get(operator) ?? [], random));
  const sample: M[] = [];
  for (let round = 0; sample.length < size && piles.some((pile) => pile.length > round); round++) {
    for (const pile of piles) {
      const mutant = pile[round];
      if (mutant !== undefined && sample.length < size) sample.push(mutant);
    }
  }
  return sample;
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const copy = [...items];
  for (let last = copy.length - 1; last > 0; last--) {
    const other = random(last + 1);
    [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
  }
  return copy;
}
