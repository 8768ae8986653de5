import { join, NO_BYTES, u16, u32, u64 } from "./bytes";

export interface HeaderValues {
  readonly id?: number;
  readonly flags?: number;
  readonly error?: number;
  /** Of the whole message. It may lie. */
  readonly size?: number;
}

/** A whole message, with the header as the section "Header" draws it. */
export function frame(command: number, body: Uint8Array = NO_BYTES, header: HeaderValues = {}): Uint8Array {
  const { id = 1, flags = 0, error = 0, size = 16 + body.length } = header;
  return join(u16(id, command), u32(size, flags, error), body);
}

/** Bodies of requests, field by field as the specification's tables have them. */
export const version = (major: number, minor: number, json?: string): Uint8Array =>
  join(u16(major, minor), json === undefined ? NO_BYTES : new TextEncoder().encode(`${json}\0`));

export const deviceInfo = (argsz = 16): Uint8Array => u32(argsz, 0, 0, 0);

export const regionInfo = (index: number, argsz = 32): Uint8Array => join(u32(argsz, 0, index, 0), u64(0n, 0n));

export const regionIoFds = (index: number, { argsz = 4096, flags = 0, count = 0 } = {}): Uint8Array =>
  u32(argsz, flags, index, count);

export const irqInfo = (index: number, argsz = 16): Uint8Array => u32(argsz, 0, index, 0);

export interface IrqSetValues {
  readonly flags: number;
  readonly index: number;
  readonly start?: number;
  readonly count?: number;
  readonly data?: Uint8Array;
  readonly argsz?: number;
}

export function irqSet({ flags, index, start = 0, count = 0, data = NO_BYTES, argsz }: IrqSetValues): Uint8Array {
  return join(u32(argsz ?? 20 + data.length, flags, index, start, count), data);
}

export const access = (region: number, offset: bigint, count: number, data: Uint8Array = NO_BYTES): Uint8Array =>
  join(u64(offset), u32(region, count), data);

export interface DmaValues {
  readonly address: bigint;
  readonly size: bigint;
  readonly flags?: number;
  readonly offset?: bigint;
  readonly argsz?: number;
}

export const dmaMap = ({ address, size, flags = 3, offset = 0n, argsz = 32 }: DmaValues): Uint8Array =>
  join(u32(argsz, flags), u64(offset, address, size));

export const dmaUnmap = ({ address, size, flags = 0, argsz = 24 }: DmaValues): Uint8Array =>
  join(u32(argsz, flags), u64(address, size));

export const feature = (flags: number, data: Uint8Array = NO_BYTES, argsz = 8 + data.length): Uint8Array =>
  join(u32(argsz, flags), data);

/** One write of VFIO_USER_REGION_WRITE_MULTI. `data` has 8 bytes. */
export const oneWrite = (region: number, offset: bigint, count: number, data: Uint8Array): Uint8Array =>
  join(u64(offset), u32(region, count), data);
