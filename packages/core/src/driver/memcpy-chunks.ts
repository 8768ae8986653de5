import { argumentError, VfioError } from "../errors/vfio-error";
import type { DriverLimits } from "./driver";

/** One piece of a copy: bytes from `offset` of the source to the same offset of the destination. */
export interface MemcpyChunk {
  /** Bytes from the start of the copy. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** Throws if a driver's limits contradict themselves, so that no copy could keep them. */
export function checkLimits(driver: string, limits: DriverLimits): void {
  const { maxMemcpySize, minMemcpySize, maxMemcpyCount, alignment } = limits;
  const problems: string[] = [];
  for (const [name, value] of Object.entries({ maxMemcpySize, minMemcpySize, maxMemcpyCount, alignment })) {
    if (!Number.isSafeInteger(value) || value < 1)
      problems.push(`${name} is ${value}, must be an integer of at least 1`);
  }
  if (problems.length === 0 && !isPowerOfTwo(alignment)) {
    problems.push(`alignment is ${alignment}, must be a power of two of at most 2^31`);
  }
  if (problems.length === 0 && largestChunk(limits) < smallestChunk(limits)) {
    problems.push(
      `no multiple of alignment ${alignment} lies between minMemcpySize ${minMemcpySize} and maxMemcpySize ${maxMemcpySize}`,
    );
  }
  if (problems.length > 0) {
    throw new VfioError(`driver ${driver} has impossible limits: ${problems.join("; ")}`, {
      code: "ERR_INVALID_DRIVER",
      operation: "Driver.create",
      subject: driver,
      remedy: "correct the limits in the driver",
    });
  }
}

/**
 * Splits a copy of `size` bytes into chunks that keep `limits`. If the rest would be smaller than the least size, the
 * last chunk begins earlier and copies some bytes a second time, which changes nothing.
 */
export function* memcpyChunks(size: number, limits: DriverLimits): Generator<MemcpyChunk, void, undefined> {
  const largest = largestChunk(limits);
  const smallest = smallestChunk(limits);
  if (!Number.isSafeInteger(size) || size < smallest || size % limits.alignment !== 0) {
    const multiple = limits.alignment === 1 ? "" : `, in multiples of ${limits.alignment}`;
    throw argumentError("memcpy", "size", size, `at least ${smallest} bytes${multiple}`);
  }
  let offset = 0;
  for (; size - offset > largest; offset += largest) yield { offset, size: largest };
  const rest = Math.max(size - offset, smallest);
  yield { offset: size - rest, size: rest };
}

function isPowerOfTwo(value: number): boolean {
  return value <= 2 ** 31 && Number.isInteger(Math.log2(value));
}

function largestChunk(limits: DriverLimits): number {
  return Math.floor(limits.maxMemcpySize / limits.alignment) * limits.alignment;
}

function smallestChunk(limits: DriverLimits): number {
  return Math.ceil(limits.minMemcpySize / limits.alignment) * limits.alignment;
}
