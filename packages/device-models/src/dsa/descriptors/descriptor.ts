export const DESCRIPTOR_BYTES = 64;

/** A descriptor as software wrote it (section 8.1). Addresses have 64 bits, so they are bigint. */
export class Descriptor {
  /** 24 bits. */
  readonly flags: number;
  readonly opcode: number;
  /** Transfer Size in bytes, or Descriptor Count. */
  readonly size: number;
  readonly #view: DataView;
  readonly #start: number;

  /** The 64 bytes of `view` from `start` on. The descriptor keeps the view, so the bytes must not change any more. */
  constructor(view: DataView, start = 0) {
    const operation = view.getUint32(start + 4, true);
    this.flags = operation & 0xff_ffff;
    this.opcode = operation >>> 24;
    this.size = view.getUint32(start + 32, true);
    this.#view = view;
    this.#start = start;
  }

  /** Only meaningful in a descriptor submitted to a shared work queue. */
  get pasid(): number {
    return this.#word(0) & 0xf_ffff;
  }

  get privileged(): boolean {
    return this.#word(0) >>> 31 === 1;
  }

  /** Bits 30:20 of the first word. */
  get reservedTrusted(): number {
    return (this.#word(0) >>> 20) & 0x7ff;
  }

  get completionAddress(): bigint {
    return this.#address(8);
  }

  /** Source, Source1 or Descriptor List Address. */
  get source(): bigint {
    return this.#address(16);
  }

  /** Destination, Destination1 or Source2. */
  get destination(): bigint {
    return this.#address(24);
  }

  get interruptHandle(): number {
    return this.#view.getUint16(this.#start + 36, true);
  }

  /** For Compare and Compare Pattern. */
  get expectedResult(): number {
    return this.#view.getUint8(this.#start + 40) & 1;
  }

  /** For Memory Copy with Dualcast. */
  get destination2(): bigint {
    return this.#address(40);
  }

  get crcSeed(): number {
    return this.#word(40);
  }

  get crcSeedAddress(): bigint {
    return this.#address(48);
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** Bytes `first` to `last`, in place. */
  bytes(first: number, last: number): Uint8Array {
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#start + first, last - first + 1);
  }

  /** Whether bytes `first` to `last` are all zero. */
  isZero(first: number, last: number): boolean {
    for (let i = first; i <= last; i++) if (this.#view.getUint8(this.#start + i) !== 0) return false;
    return true;
  }

  #word(offset: number): number {
    return this.#view.getUint32(this.#start + offset, true);
  }

  #address(offset: number): bigint {
    return this.#view.getBigUint64(this.#start + offset, true);
  }
}
