/** A device's state is written field after field, little endian, and read in the same order. */
export class StateWriter {
  readonly #parts: Uint8Array[] = [];

  u32(...values: number[]): this {
    this.#parts.push(new Uint8Array(Uint32Array.from(values).buffer));
    return this;
  }

  u64(...values: bigint[]): this {
    this.#parts.push(new Uint8Array(BigUint64Array.from(values).buffer));
    return this;
  }

  flag(value: boolean): this {
    return this.u32(value ? 1 : 0);
  }

  /** A block whose length the reader knows. */
  bytes(block: Uint8Array): this {
    this.#parts.push(block.slice());
    return this;
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/** Reads what {@link StateWriter} wrote. Throws a RangeError for too few or too many bytes, and for values out of range. */
export class StateReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** `max`: the largest value that makes sense. */
  u32(max = 0xffff_ffff): number {
    const value = this.#view.getUint32(this.#take(4), true);
    if (value > max) throw new RangeError(`device state: ${value} at byte ${this.#at - 4}; allowed: 0 to ${max}`);
    return value;
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  flag(): boolean {
    return this.u32(1) === 1;
  }

  bytes(length: number): Uint8Array {
    const from = this.#take(length);
    return this.#bytes.slice(from, from + length);
  }

  /** Nothing must be left. */
  finish(): void {
    const left = this.#bytes.length - this.#at;
    if (left !== 0) throw new RangeError(`device state: ${left} bytes behind its end`);
  }

  #take(length: number): number {
    const from = this.#at;
    if (from + length > this.#bytes.length) {
      throw new RangeError(`device state: ${this.#bytes.length} bytes; it has more than ${from + length - 1}`);
    }
    this.#at += length;
    return from;
  }
}
