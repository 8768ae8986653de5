/**
 * Width-exact access to registers. Offsets are bytes, multiples of the width. Every method throws VfioError.
 * `MappedRegisters` are one implementation; the others serve regions that cannot be mapped in one piece.
 */
export interface RegisterAccess {
  read8(offset: number): number;
  read16(offset: number): number;
  read32(offset: number): number;
  read64(offset: number): bigint;
  write8(offset: number, value: number): void;
  write16(offset: number, value: number): void;
  write32(offset: number, value: number): void;
  write64(offset: number, value: bigint): void;
  /**
   * Stores 64 bytes of `source` at `offset` (a multiple of 64): one MOVDIR64B where the CPU has it, else eight 8-byte
   * stores in ascending order.
   */
  store64Bytes(offset: number, source: Uint8Array, sourceOffset?: number): void;
}
