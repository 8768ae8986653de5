import type { RegisterDeclarations } from "../registers/index";

/** One entry of a capability list. `configSpace` makes the chain's pointers. */
export interface Capability<D extends RegisterDeclarations = RegisterDeclarations> {
  /** Prefix of its registers' names; `configSpace` adds `<name>_HEADER`. */
  readonly name: string;
  /** Its id in the list: 8 bits, or 16 in an extended one. */
  readonly id: number;
  /** Version of an extended capability; ignored for a standard one. */
  readonly version?: number;
  /** Offset in config space: a multiple of 4; 0x40..0xff for standard, 0x100..0xfff for extended ones. */
  readonly at: number;
  /** Bytes with its header (2 bytes, or 4 in an extended one). Nothing else may lie in them. */
  readonly bytes: number;
  /** Without the header. Offsets count from the start of config space. */
  readonly registers: D;
}
