/**
 * Width-exact access to registers. Offsets are bytes, multiples of the width. Every method throws VfioError.
 * `MappedRegisters` are one implementation; the others serve regions that cannot be mapped in one piece.
 */
export interface RegisterAccess {
  /** Reads 8 bits: 0 to 0xff. */
  read8(offset: number): number;
  /** Reads 16 bits: 0 to 0xffff. */
  read16(offset: number): number;
  /** Reads 32 bits, unsigned: 0 to 0xffff_ffff. */
  read32(offset: number): number;
  /** Reads 64 bits in one access, unsigned. */
  read64(offset: number): bigint;
  /** Writes the low 8 bits of `value`. */
  write8(offset: number, value: number): void;
  /** Writes the low 16 bits of `value`. */
  write16(offset: number, value: number): void;
  /** Writes the low 32 bits of `value`. */
  write32(offset: number, value: number): void;
  /** Writes 64 bits in one access. */
  write64(offset: number, value: bigint): void;
  /**
   * Stores 64 bytes of `source` at `offset` (a multiple of 64): one MOVDIR64B where the CPU has it, else eight 8-byte
   * stores in ascending order.
   */
  store64Bytes(offset: number, source: Uint8Array, sourceOffset?: number): void;
}
