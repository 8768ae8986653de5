const encoder = new TextEncoder();

/** Resource tags (PCI 3.0, appendix I.1). A large one is followed by its length in two bytes. */
const Tag = { identifier: 0x82, readOnly: 0x90, readWrite: 0x91, end: 0x78 } as const;

const LARGE_HEADER_BYTES = 3;

/** The device's vital product data: what it is read-only, a tag of the owner's, and room for more. */
export class VitalProductData {
  readonly bytes: Uint8Array;
  /** The read-write resource's fields, in bytes of `bytes`. */
  readonly #writable: { readonly start: number; readonly end: number };

  constructor() {
    const identifier = large(Tag.identifier, encoder.encode("Rare capabilities"));
    const known = [...field("PN", encoder.encode("CAB5")), ...field("SN", encoder.encode("0001"))];
    const checked = withChecksum(identifier, known);
    // YA: the owner's asset tag. RW: what is free, so that the resources end at a multiple of four.
    const owned = [...field("YA", encoder.encode("none")), ...field("RW", new Uint8Array(freeBytes(checked.length)))];
    const start = checked.length + LARGE_HEADER_BYTES;
    this.bytes = Uint8Array.from([...checked, ...large(Tag.readWrite, owned), Tag.end]);
    this.#writable = { start, end: start + owned.length };
  }

  /** Four bytes from `address`, a multiple of four. 0 behind the end. */
  read(address: number): number {
    let value = 0;
    for (let i = 3; i >= 0; i--) value = (value << 8) | (this.bytes[address + i] ?? 0);
    return value >>> 0;
  }

  /** Changes those of the four bytes that are in the read-write resource. */
  write(address: number, value: number): void {
    const { start, end } = this.#writable;
    for (let at = address; at < address + 4; at++) {
      if (at >= start && at < end) this.bytes[at] = (value >>> ((at - address) * 8)) & 0xff;
    }
  }
}

function large(tag: number, content: Iterable<number>): number[] {
  const bytes = [...content];
  return [tag, bytes.length & 0xff, bytes.length >> 8, ...bytes];
}

function field(keyword: string, content: Iterable<number>): number[] {
  const bytes = [...content];
  return [...encoder.encode(keyword), bytes.length, ...bytes];
}

/** With the read-only resource, whose last field RV makes the sum of all bytes up to its first one 0. */
function withChecksum(identifier: readonly number[], known: readonly number[]): number[] {
  const bytes = [...identifier, ...large(Tag.readOnly, [...known, ...field("RV", [0])])];
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes[bytes.length - 1] = -sum & 0xff;
  return bytes;
}

/** Bytes of the field RW: at least 32, and the end tag is the last byte of four. */
function freeBytes(before: number): number {
  const fields = field("YA", encoder.encode("none")).length + field("RW", []).length;
  const length = before + LARGE_HEADER_BYTES + fields + 1;
  return 32 + (-length & 3);
}
