/** Calls before measuring, enough for the engine to compile the operation. */
const WARM_UP = 3000;
const CALLS = 1000;
const ROUNDS = 10;

/**
 * How many bytes one call of `operation` leaves to the garbage collector. It takes the least of several rounds, because
 * the engine itself allocates when it compiles, and a collection makes a round's figure negative.
 */
export function allocatedBytes(operation: () => void): number {
  for (let i = 0; i < WARM_UP; i++) operation();
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < CALLS; i++) operation();
    const bytes = (process.memoryUsage().heapUsed - before) / CALLS;
    if (bytes >= 0) least = Math.min(least, bytes);
  }
  return least;
}
