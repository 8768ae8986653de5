/**
 * Checks of what a caller asks an address space to map. The hot path only checks. Another function finds out what is
 * wrong, so that V8 inlines the path.
 */
import type { DmaAccess } from "../contracts/iommu";
import { argumentError, type VfioError } from "../errors/vfio-error";

/** Bytes from `offset`, which nobody has checked yet, to the end of the memory. */
export function restFrom(offset: number, end: number): number {
  // A bigint cannot be subtracted.
  return typeof offset === "number" ? end - offset : 0;
}

/** Whether `length` bytes from `offset` lie inside the memory's `end` bytes. */
export function isArea(offset: number, length: number, end: number): boolean {
  return isCount(offset) && isCount(length) && offset + length <= end;
}

/** The error of an area that {@link isArea} refuses. */
export function areaError(offset: number, length: number, end: number): VfioError {
  const integer = "an integer, of type number";
  if (!Number.isInteger(offset)) return argumentError("map", "offset", offset, integer);
  if (!Number.isInteger(length)) return argumentError("map", "length", length, integer);
  return argumentError("map", "area", `${offset} + ${length}`, `inside the memory's ${end} bytes`);
}

export function isAccess(access: unknown): access is DmaAccess {
  return access === "read-write" || access === "read" || access === "write";
}

export function requireAddress(operation: string, name: string, value: unknown): void {
  if (typeof value !== "bigint" || BigInt.asUintN(64, value) !== value) {
    throw argumentError(operation, name, value, "a bigint from 0 to 2^64 - 1");
  }
}

/** Usual sizes take no floating-point operation (see uapi/struct.ts). */
function isCount(value: unknown): boolean {
  return typeof value === "number" && (value >>> 0 === value || (Number.isInteger(value) && value >= 0));
}
