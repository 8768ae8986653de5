export const DESCRIPTOR_BYTES = 64;

/** A descriptor as software wrote it (section 8.1). Addresses are 64-bit and hence bigint. */
export class Descriptor {
  readonly #view: DataView;

  /** Keeps `bytes`, which must not change any more. */
  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, DESCRIPTOR_BYTES);
  }

  /** Only meaningful in a descriptor submitted to a shared work queue. */
  get pasid(): number {
    return this.#view.getUint32(0, true) & 0xf_ffff;
  }

  get privileged(): boolean {
    return this.#view.getUint32(0, true) >>> 31 === 1;
  }

  /** Bits 30:20 of the first word. */
  get reservedTrusted(): number {
    return (this.#view.getUint32(0, true) >>> 20) & 0x7ff;
  }

  /** 24 bits. */
  get flags(): number {
    return this.#view.getUint32(4, true) & 0xff_ffff;
  }

  get opcode(): number {
    return this.bytes[7] as number;
  }

  get completionAddress(): bigint {
    return this.#view.getBigUint64(8, true);
  }

  /** Source, Source1, Descriptor List Address, or pattern. */
  get source(): bigint {
    return this.#view.getBigUint64(16, true);
  }

  /** Destination, Destination1, Source2, or Compare Pattern's pattern. */
  get destination(): bigint {
    return this.#view.getBigUint64(24, true);
  }

  /** Transfer Size in bytes, or Descriptor Count. */
  get size(): number {
    return this.#view.getUint32(32, true);
  }

  get interruptHandle(): number {
    return this.#view.getUint16(36, true);
  }

  /** Compare and Compare Pattern. */
  get expectedResult(): number {
    return (this.bytes[40] as number) & 1;
  }

  /** Dualcast. */
  get destination2(): bigint {
    return this.#view.getBigUint64(40, true);
  }

  get crcSeed(): number {
    return this.#view.getUint32(40, true);
  }

  get crcSeedAddress(): bigint {
    return this.#view.getBigUint64(48, true);
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** Whether bytes `first` to `last` are all zero. */
  isZero(first: number, last: number): boolean {
    for (let i = first; i <= last; i++) if (this.bytes[i] !== 0) return false;
    return true;
  }
}
