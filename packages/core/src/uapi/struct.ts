import { VfioError } from "../errors/vfio-error";

/**
 * Layouts of kernel structures, declared once as data: `struct(size, { field: u32(offset), … })`.
 *
 * Fields read and write a {@link StructView}, which makes its typed arrays once, so a hot path (map and unmap) sets its
 * fields without allocating. It converts a number by `>>> 0`: V8 would go by floating point, which takes long on the
 * emulated CPU of a VM. Values are in the byte order of the machine, as the kernel's are.
 *
 * A field's methods compute the element's index from the offset. V8 knows the offset of a field that is a constant, and
 * so makes one store of `field.set`.
 */

/**
 * Bytes of a structure, viewed at every element width. The start is aligned to 8. A typed array takes longer to make than
 * an ioctl's field to set, so the widths that few structures have are made at their first use. The hot path sets fields
 * of 32 and 64 bits, and a width made at its first use has an accessor, which V8 does not inline into every field.
 */
export class StructView {
  /** Exactly the structure (and the requested bytes behind it), for an ioctl. */
  readonly bytes: Uint8Array;
  /** By 32 bits, unsigned. */
  readonly u32: Uint32Array;
  /** By 64 bits, unsigned. */
  readonly u64: BigUint64Array;
  readonly #storage: ArrayBuffer;
  readonly #start: number;
  #u8: Uint8Array | undefined;
  #u16: Uint16Array | undefined;
  #s32: Int32Array | undefined;

  /**
   * `size` bytes of its own storage, or of `storage` from `start` on. `start` and the storage's length are multiples of
   * 8.
   */
  constructor(size: number, storage = new ArrayBuffer((size + 7) & ~7), start = 0) {
    this.bytes = new Uint8Array(storage, start, size);
    this.u32 = new Uint32Array(storage, start);
    this.u64 = new BigUint64Array(storage, start);
    this.#storage = storage;
    this.#start = start;
  }

  /** By bytes, unsigned. */
  get u8(): Uint8Array {
    return (this.#u8 ??= new Uint8Array(this.#storage, this.#start));
  }

  /** By 16 bits, unsigned. */
  get u16(): Uint16Array {
    return (this.#u16 ??= new Uint16Array(this.#storage, this.#start));
  }

  /** By 32 bits, signed. */
  get s32(): Int32Array {
    return (this.#s32 ??= new Int32Array(this.#storage, this.#start));
  }
}

/** A field of at most 32 bits. */
export interface NumberField {
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes. */
  readonly width: 1 | 2 | 4;
  /** Whether its values can be negative. */
  readonly signed: boolean;
  /** The field's value in `view`. */
  get(view: StructView): number;
  /** Sets the field in `view`. Higher bits of `value` are lost. */
  set(view: StructView, value: number): void;
}

/** An unsigned number of one byte (`__u8`). */
export class U8Field implements NumberField {
  readonly width = 1;
  readonly signed = false;
  /** `offset` in bytes. */
  constructor(readonly offset: number) {}
  get(view: StructView): number {
    return view.u8[this.offset] as number;
  }
  set(view: StructView, value: number): void {
    view.u8[this.offset] = value;
  }
}

/** An unsigned number of two bytes (`__u16`), in the CPU's order. */
export class U16Field implements NumberField {
  readonly width = 2;
  readonly signed = false;
  /** `offset` in bytes, a multiple of 2. */
  constructor(readonly offset: number) {
    requireAligned(offset, 2);
  }
  get(view: StructView): number {
    return view.u16[this.offset >>> 1] as number;
  }
  set(view: StructView, value: number): void {
    view.u16[this.offset >>> 1] = value;
  }
}

/** An unsigned number of four bytes (`__u32`), in the CPU's order. */
export class U32Field implements NumberField {
  readonly width = 4;
  readonly signed = false;
  /** `offset` in bytes, a multiple of 4. */
  constructor(readonly offset: number) {
    requireAligned(offset, 4);
  }
  get(view: StructView): number {
    return view.u32[this.offset >>> 2] as number;
  }
  set(view: StructView, value: number): void {
    view.u32[this.offset >>> 2] = value >>> 0;
  }
}

/** A signed number of four bytes (`__s32`), in the CPU's order. */
export class S32Field implements NumberField {
  readonly width = 4;
  readonly signed = true;
  /** `offset` in bytes, a multiple of 4. */
  constructor(readonly offset: number) {
    requireAligned(offset, 4);
  }
  get(view: StructView): number {
    return view.s32[this.offset >>> 2] as number;
  }
  set(view: StructView, value: number): void {
    view.s32[this.offset >>> 2] = value;
  }
}

/** A 64-bit field: as bigint, or as number if the value is known to stay below 2^53 (sizes). */
export class U64Field {
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes. */
  readonly width = 8;
  /** Whether its values can be negative. */
  readonly signed = false;
  /** `offset` in bytes, a multiple of 8. */
  constructor(offset: number) {
    this.offset = offset;
    requireAligned(offset, 8);
  }
  /** The field's value in `view`. */
  get(view: StructView): bigint {
    return view.u64[this.offset >>> 3] as bigint;
  }
  /** Sets the field in `view`. Higher bits of `value` are lost. */
  set(view: StructView, value: bigint): void {
    view.u64[this.offset >>> 3] = value;
  }
  /** Exact below 2^53. */
  getNumber(view: StructView): number {
    const low = this.offset >>> 2;
    return (view.u32[low + 1] as number) * 0x1_0000_0000 + (view.u32[low] as number);
  }
  /** `value` is an integer from 0 to 2^53. */
  setNumber(view: StructView, value: number): void {
    const low = this.offset >>> 2;
    view.u32[low] = value >>> 0;
    view.u32[low + 1] = highBits(value);
  }
}

/** A field of a structure. */
export type Field = U8Field | U16Field | U32Field | S32Field | U64Field;

/** A `__u8` at so many bytes from the structure's start. */
export const u8 = (offset: number): U8Field => new U8Field(offset);
/** A `__u16` at so many bytes from the structure's start, a multiple of 2. */
export const u16 = (offset: number): U16Field => new U16Field(offset);
/** A `__u32` at so many bytes from the structure's start, a multiple of 4. */
export const u32 = (offset: number): U32Field => new U32Field(offset);
/** A `__s32` at so many bytes from the structure's start, a multiple of 4. */
export const s32 = (offset: number): S32Field => new S32Field(offset);
/** A `__u64` at so many bytes from the structure's start, a multiple of 8. Its value is a bigint. */
export const u64 = (offset: number): U64Field => new U64Field(offset);

/** One kernel structure. `size` is C's sizeof, without a flexible array at the end. */
export interface StructLayout<Fields extends Readonly<Record<string, Field>> = Readonly<Record<string, Field>>> {
  /** Bytes. */
  readonly size: number;
  /** The fields by their names in the kernel. */
  readonly fields: Fields;
  /** Zeroed storage, with `extraBytes` behind the structure (flexible arrays, capability chains). */
  allocate(extraBytes?: number): StructView;
  /** A copy of the structure at `offset` of `bytes`. ERR_SHORT_STRUCT if it does not fit. */
  copyOf(bytes: Uint8Array, offset?: number): StructView;
}

/** Describes a structure of so many bytes. Throws a RangeError for a field that ends after them. */
export function struct<const Fields extends Readonly<Record<string, Field>>>(
  size: number,
  fields: Fields,
): StructLayout<Fields> {
  for (const [name, field] of Object.entries(fields)) {
    if (field.offset + field.width > size) throw new RangeError(`field ${name} ends after byte ${size}`);
  }
  return {
    size,
    fields,
    allocate: (extraBytes = 0) => new StructView(size + extraBytes),
    copyOf(bytes, offset = 0) {
      if (offset < 0 || offset + size > bytes.length) {
        throw new VfioError(
          `a structure of ${size} bytes at ${offset} ends behind the ${bytes.length} bytes received`,
          {
            code: "ERR_SHORT_STRUCT",
            operation: "read structure",
          },
        );
      }
      const view = new StructView(size);
      view.bytes.set(bytes.subarray(offset, offset + size));
      return view;
    },
  };
}

/** The bits above 32. Usual sizes take no floating-point operation. */
function highBits(value: number): number {
  return value >>> 0 === value ? 0 : value / 0x1_0000_0000;
}

function requireAligned(offset: number, width: number): void {
  if (offset % width !== 0) throw new RangeError(`offset ${offset} is not a multiple of ${width}`);
}
