import { argumentError } from "../errors/vfio-error";

/** Negative values stand for their two's complement. */
export function checkRegisterValue(operation: string, value: number, bits: 8 | 16 | 32): void {
  if (!Number.isInteger(value) || value < LEAST[bits] || value > MOST[bits]) {
    throw argumentError(operation, "value", value, `an integer from -2^${bits - 1} to 2^${bits} - 1`);
  }
}

/** The same for 64 bits, which are a bigint. */
export function checkWideRegisterValue(operation: string, value: bigint): void {
  if (typeof (value as unknown) === "bigint") {
    if (BigInt.asUintN(64, value) === value || BigInt.asIntN(64, value) === value) return;
  }
  throw argumentError(operation, "value", value, "a bigint from -2^63 to 2^64 - 1");
}

const LEAST = { 8: -(2 ** 7), 16: -(2 ** 15), 32: -(2 ** 31) };
const MOST = { 8: 2 ** 8 - 1, 16: 2 ** 16 - 1, 32: 2 ** 32 - 1 };
