import { TRANSFER_BYTES } from "./registers";

/**
 * Bytes of the next transfer of a copy: the largest power of two, of at most 256, of which both addresses are multiples
 * and which is left to copy. The addresses may be low halves. All arguments are multiples of 4.
 */
export function chunkSize(outside: number, local: number, remaining: number): number {
  const left = 2 ** (31 - Math.clz32(remaining));
  const together = outside | local | left | TRANSFER_BYTES.most;
  // The lowest bit that is set in any of them.
  return together & -together;
}
