/** Bits of a register: a number up to 32 bits wide, a bigint for 64-bit registers. */
export type Bits = number | bigint;

/** Bytes of a register. */
export type RegisterWidth = 1 | 2 | 4 | 8;

/**
 * One register, in the terms of a specification's table. Bits in no mask are read-only: they hold `reset` until the
 * device changes them. Masks must not overlap.
 */
export interface RegisterDeclaration {
  /** Bytes from the start of the map, a multiple of `bytes`. */
  readonly offset: number;
  /** Its width. */
  readonly bytes: RegisterWidth;
  /** Value after a reset; default 0. */
  readonly reset?: Bits;
  /** Bits that software may set and clear (RW). */
  readonly readWrite?: Bits;
  /** Bits that software clears by writing 1 (RW1C). */
  readonly writeOneToClear?: Bits;
  /** Bits that a read clears after software has seen them (RC). */
  readonly readToClear?: Bits;
  /** Bits that keep their value through a reset of the device (RWS, RW1CS, ROS). */
  readonly sticky?: Bits;
  /**
   * The widths in bytes of the allowed accesses, naturally aligned. Default: any. An access of another width (as far as
   * it falls on this register) reads all ones and writes nothing.
   */
  readonly accessBytes?: readonly RegisterWidth[];
  /** An array of such registers, `stride` bytes apart (default `bytes`). */
  readonly repeat?: { readonly count: number; readonly stride?: number };
}

/** A device's registers by name, a table of its specification. */
export type RegisterDeclarations = Readonly<Record<string, RegisterDeclaration>>;

/** Declarations of a block, moved by `base` bytes, for blocks that the specification gives relative to a base. */
export function placedAt<const D extends RegisterDeclarations>(base: number, declarations: D): D {
  const moved = Object.entries(declarations).map(([name, d]) => [name, { ...d, offset: d.offset + base }] as const);
  return Object.fromEntries(moved) as D;
}
