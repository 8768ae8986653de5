const PATTERN_BYTES = 8;
const BLOCK_BYTES = 64 * 1024;

/** A pattern of eight bytes, repeated. Fill writes it, and Compare Pattern expects it. */
export class RepeatedPattern {
  readonly #block: Uint8Array;

  /** `size`: bytes of the whole transfer. */
  constructor(pattern: Uint8Array, size: number) {
    const length = Math.min(BLOCK_BYTES, Math.ceil(size / PATTERN_BYTES) * PATTERN_BYTES) + PATTERN_BYTES;
    this.#block = Buffer.alloc(length, pattern);
  }

  /** Some of the `length` bytes, at least one, from `offset` bytes after the start of the transfer. */
  at(offset: number, length: number): Uint8Array {
    const phase = offset % PATTERN_BYTES;
    return this.#block.subarray(phase, phase + Math.min(length, this.#block.length - PATTERN_BYTES));
  }
}
