/**
 * Checks of what a caller asks an address space to map. The hot path only checks. Another function finds out what is
 * wrong, so that V8 inlines the path.
 */
import type { DmaAccess, IommuBackend } from "../contracts/iommu";
import { argumentError, type VfioError } from "../errors/vfio-error";

/** Whether `length` bytes from `offset` lie inside the memory's `end` bytes. */
export function isArea(offset: unknown, length: unknown, end: number): boolean {
  if (typeof offset !== "number" || typeof length !== "number") return false;
  // Usual sizes take no floating-point operation (see uapi/struct.ts).
  const usual = offset >>> 0 === offset && length >>> 0 === length;
  return (usual || (isCount(offset) && isCount(length))) && offset + length <= end;
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

/** The error of an access that {@link isAccess} refuses. */
export function accessError(access: unknown): VfioError {
  return argumentError("map", "access", access, "read, write, read-write");
}

/** The IOVA to pass to the back end. Undefined leaves the choice to the kernel. */
export function fixedIova(wanted: bigint | "kernel", backend: IommuBackend): bigint | undefined {
  if (isAddress(wanted)) return wanted;
  requireChoice(wanted, backend);
  return undefined;
}

export function requireAddress(operation: string, name: string, value: unknown): void {
  if (!isAddress(value)) throw argumentError(operation, name, value, "a bigint from 0 to 2^64 - 1");
}

function isAddress(value: unknown): value is bigint {
  return typeof value === "bigint" && BigInt.asUintN(64, value) === value;
}

/** Throws unless the kernel is to choose the IOVA, and does so. */
function requireChoice(wanted: unknown, backend: IommuBackend): void {
  if (wanted !== "kernel") requireAddress("map", "iova", wanted);
  if (backend.choosesIova) return;
  const allowed = `an address, or nothing: in mode ${backend.mode} the kernel does not choose`;
  throw argumentError("map", "iova", wanted, allowed);
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0;
}
