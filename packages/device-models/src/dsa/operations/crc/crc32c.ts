/**
 * CRC-32C (polynomial 0x11EDC6F41) as DSA computes it (specification 341204, section 8.3.12 and appendix A). It takes
 * sixteen bytes at a time by tables ("slicing-by-16").
 */

const SLICES = 16;

/** The polynomial without its leading term, bit-reversed: bit 31 is the coefficient of x^0. */
const REFLECTED_POLYNOMIAL = 0x82f63b78;

/** Table n, entry b: what byte b contributes n bytes before the end of the data. */
const TABLES = makeTables();
const REVERSED_BYTES = Uint8Array.from({ length: 256 }, (_, byte) => reverse32(byte) >>> 24);

function makeTables(): Int32Array {
  const tables = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ REFLECTED_POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const previous = tables[i - 256] as number;
    tables[i] = (previous >>> 8) ^ (tables[previous & 0xff] as number);
  }
  return tables;
}

function reverse32(value: number): number {
  let v = value;
  v = ((v >>> 1) & 0x5555_5555) | ((v & 0x5555_5555) << 1);
  v = ((v >>> 2) & 0x3333_3333) | ((v & 0x3333_3333) << 2);
  v = ((v >>> 4) & 0x0f0f_0f0f) | ((v & 0x0f0f_0f0f) << 4);
  v = ((v >>> 8) & 0x00ff_00ff) | ((v & 0x00ff_00ff) << 8);
  return ((v >>> 16) | (v << 16)) >>> 0;
}

/** The flags of the descriptor that change the computation. */
export interface CrcOptions {
  readonly bypassInversion: boolean;
  readonly bypassDataReflection: boolean;
}

/** One computation. Its value may seed the computation over the bytes that follow. */
export class Crc32c {
  #state: number;

  readonly #options: CrcOptions;

  constructor(seed: number, options: CrcOptions) {
    this.#options = options;
    this.#state = options.bypassInversion ? reverse32(seed) : ~seed >>> 0;
  }

  update(bytes: Uint8Array): void {
    this.#state = this.#options.bypassDataReflection
      ? updateReversed(this.#state, bytes)
      : updateInSlices(this.#state, bytes);
  }

  /** The unsigned value of the bytes so far. */
  get value(): number {
    return this.#options.bypassInversion ? reverse32(this.#state) : ~this.#state >>> 0;
  }
}

function updateInSlices(state: number, bytes: Uint8Array): number {
  const t = TABLES;
  const whole = bytes.length - (bytes.length % SLICES);
  let crc = state;
  let i = 0;
  // Indexes lie within the arrays by construction. `as number` costs nothing at run time.
  for (; i < whole; i += SLICES) {
    crc =
      (t[0xf00 + (((bytes[i] as number) ^ crc) & 0xff)] as number) ^
      (t[0xe00 + (((bytes[i + 1] as number) ^ (crc >>> 8)) & 0xff)] as number) ^
      (t[0xd00 + (((bytes[i + 2] as number) ^ (crc >>> 16)) & 0xff)] as number) ^
      (t[0xc00 + (((bytes[i + 3] as number) ^ (crc >>> 24)) & 0xff)] as number) ^
      (t[0xb00 + (bytes[i + 4] as number)] as number) ^
      (t[0xa00 + (bytes[i + 5] as number)] as number) ^
      (t[0x900 + (bytes[i + 6] as number)] as number) ^
      (t[0x800 + (bytes[i + 7] as number)] as number) ^
      (t[0x700 + (bytes[i + 8] as number)] as number) ^
      (t[0x600 + (bytes[i + 9] as number)] as number) ^
      (t[0x500 + (bytes[i + 10] as number)] as number) ^
      (t[0x400 + (bytes[i + 11] as number)] as number) ^
      (t[0x300 + (bytes[i + 12] as number)] as number) ^
      (t[0x200 + (bytes[i + 13] as number)] as number) ^
      (t[0x100 + (bytes[i + 14] as number)] as number) ^
      (t[bytes[i + 15] as number] as number);
  }
  for (; i < bytes.length; i++) crc = (t[((bytes[i] as number) ^ crc) & 0xff] as number) ^ (crc >>> 8);
  return crc >>> 0;
}

/** Takes bit 7 of each byte for the most significant, instead of bit 0. */
function updateReversed(state: number, bytes: Uint8Array): number {
  let crc = state;
  for (const byte of bytes) {
    crc = (TABLES[((REVERSED_BYTES[byte] as number) ^ crc) & 0xff] as number) ^ (crc >>> 8);
  }
  return crc >>> 0;
}
