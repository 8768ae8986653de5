import type { Bits, RegisterDeclaration } from "./declaration";

const WORD = 0xffff_ffff;

/** A 64-bit quantity as two unsigned 32-bit halves, so that no access needs a bigint. */
interface Halves {
  readonly low: number;
  readonly high: number;
}

function halves(bits: Bits): Halves {
  if (typeof bits === "number" && bits <= WORD) return { low: bits >>> 0, high: 0 };
  const wide = BigInt(bits);
  return { low: Number(wide & 0xffff_ffffn), high: Number((wide >> 32n) & 0xffff_ffffn) };
}

/** State and access rules of one register. `low` and `high` are the value's halves (`high` is 0 up to 32 bits). */
export abstract class RegisterCell {
  low: number;
  high: number;

  readonly #reset: Halves;
  readonly #readWrite: Halves;
  readonly #writeOneToClear: Halves;
  readonly #readToClear: Halves;
  readonly #sticky: Halves;

  constructor(
    readonly name: string,
    readonly offset: number,
    /** Position in a repeated declaration; 0 for a single register. */
    readonly index: number,
    readonly declaration: RegisterDeclaration,
  ) {
    this.#reset = halves(declaration.reset ?? 0);
    this.#readWrite = halves(declaration.readWrite ?? 0);
    this.#writeOneToClear = halves(declaration.writeOneToClear ?? 0);
    this.#readToClear = halves(declaration.readToClear ?? 0);
    this.#sticky = halves(declaration.sticky ?? 0);
    this.low = this.#reset.low;
    this.high = this.#reset.high;
  }

  /** Whether software may access `count` bytes starting at byte `first` of this register. */
  allows(first: number, count: number): boolean {
    const allowed = this.declaration.accessBytes;
    if (allowed === undefined) return true;
    return first % count === 0 && allowed.some((bytes) => bytes === count);
  }

  /** Software writes `low`/`high` into the bytes of the lane masks. */
  merge(low: number, high: number, lanesLow: number, lanesHigh: number): void {
    const setLow = this.#readWrite.low & lanesLow;
    const setHigh = this.#readWrite.high & lanesHigh;
    this.low = ((this.low & ~setLow) | (low & setLow)) & ~(this.#writeOneToClear.low & lanesLow & low);
    this.high = ((this.high & ~setHigh) | (high & setHigh)) & ~(this.#writeOneToClear.high & lanesHigh & high);
    this.low >>>= 0;
    this.high >>>= 0;
  }

  /** Software has read the bytes of the lane masks. */
  afterRead(lanesLow: number, lanesHigh: number): void {
    this.low = (this.low & ~(this.#readToClear.low & lanesLow)) >>> 0;
    this.high = (this.high & ~(this.#readToClear.high & lanesHigh)) >>> 0;
  }

  /** Resets to the declared value. `keepSticky` leaves sticky bits alone, as a function level reset does. */
  reset(keepSticky: boolean): void {
    const keepLow = keepSticky ? this.#sticky.low : 0;
    const keepHigh = keepSticky ? this.#sticky.high : 0;
    this.low = ((this.#reset.low & ~keepLow) | (this.low & keepLow)) >>> 0;
    this.high = ((this.#reset.high & ~keepHigh) | (this.high & keepHigh)) >>> 0;
  }

  /** Takes over another device's value. Throws a RangeError for one that is wider than the register. */
  restore(low: number, high: number): void {
    const { bytes } = this.declaration;
    if (low >= 2 ** (8 * Math.min(bytes, 4)) || (bytes < 8 && high !== 0)) {
      throw new RangeError(`device state: ${this.name} has ${bytes} bytes; 0x${high.toString(16)}:${low.toString(16)}`);
    }
    this.low = low;
    this.high = high;
  }

  /** The value of the given halves, in this register's own type. */
  abstract compose(low: number, high: number): Bits;
}

/** A register of 8, 16 or 32 bits. */
export class Register extends RegisterCell {
  get value(): number {
    return this.low;
  }

  /** The device's own side. No access rule applies, and bits beyond the width are dropped. */
  set value(value: number) {
    const { bytes } = this.declaration;
    this.low = bytes === 4 ? value >>> 0 : value & (bytes === 2 ? 0xffff : 0xff);
  }

  compose(low: number): number {
    return low;
  }
}

/** A 64-bit register. `value` is a bigint; the hot path uses `low` and `high`. */
export class Register64 extends RegisterCell {
  get value(): bigint {
    return this.compose(this.low, this.high);
  }

  /** The device's own side. No access rule applies, and bits beyond 64 are dropped. */
  set value(value: bigint) {
    this.low = Number(value & 0xffff_ffffn);
    this.high = Number((value >> 32n) & 0xffff_ffffn);
  }

  compose(low: number, high: number): bigint {
    return (BigInt(high) << 32n) | BigInt(low);
  }
}
