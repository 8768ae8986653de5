import { argumentError } from "../errors/vfio-error";
import type { DriverLimits } from "./driver";

const LAST_IOVA = 0xffff_ffff_ffff_ffffn;

/** Memory that splits an address into halves, without making BigInts of them (docs/architecture.md, rule 2). */
const address64 = new BigUint64Array(1);
const addressHalves = new Uint32Array(address64.buffer);

/** Whether one start can copy `size` bytes. */
export function isOneCopy(size: number, { minMemcpySize, maxMemcpySize, alignment }: DriverLimits): boolean {
  return Number.isInteger(size) && size >= minMemcpySize && size <= maxMemcpySize && size % alignment === 0;
}

/** Throws if a copy breaks the driver's limits: size, count, or the alignment of an address. */
export function checkCopy(
  operation: string,
  limits: DriverLimits,
  source: bigint,
  destination: bigint,
  size: number,
  count: number,
): void {
  const { minMemcpySize, maxMemcpySize, maxMemcpyCount, alignment } = limits;
  if (!isOneCopy(size, limits)) {
    throw argumentError(operation, "size", size, `${minMemcpySize} to ${maxMemcpySize} bytes${multiple(alignment)}`);
  }
  if (!Number.isInteger(count) || count < 1 || count > maxMemcpyCount) {
    throw argumentError(operation, "count", count, `1 to ${maxMemcpyCount}`);
  }
  checkAddresses(operation, limits, source, destination);
}

/** Throws if an address is not a 64-bit address, or not aligned as the driver needs it. */
export function checkAddresses(
  operation: string,
  { alignment }: DriverLimits,
  source: bigint,
  destination: bigint,
): void {
  checkAddress(operation, "source", source, alignment);
  checkAddress(operation, "destination", destination, alignment);
}

function checkAddress(operation: string, name: string, address: bigint, alignment: number): void {
  if (typeof address === "bigint" && address >= 0n && address <= LAST_IOVA && isAligned(address, alignment)) return;
  const allowed = `a bigint from 0x0 to 0xffffffffffffffff${multiple(alignment)}`;
  throw argumentError(operation, name, address, allowed);
}

/** `alignment` is a power of two of at most 2^31 (checkLimits), so the low half is enough. */
function isAligned(address: bigint, alignment: number): boolean {
  if (alignment === 1) return true;
  address64[0] = address;
  return (addressHalves[0] as number) % alignment === 0;
}

function multiple(alignment: number): string {
  return alignment === 1 ? "" : `, in multiples of ${alignment}`;
}
