/**
 * Width-exact access to registers. Offsets are bytes, multiples of the width; every method throws VfioError.
 * `IoMapping` is one; the others here serve regions that cannot be mapped in one piece.
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
  store64Bytes(offset: number, source: Uint8Array, sourceOffset?: number): void;
}
