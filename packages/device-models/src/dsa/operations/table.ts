import { batch } from "./batch";
import { cacheFlush } from "./cache-flush";
import { compare, comparePattern } from "./compare";
import { copyWithCrc, crcGeneration } from "./crc/crc-generation";
import { drain } from "./drain";
import { dualcast } from "./dualcast";
import { fill } from "./fill";
import { memoryMove } from "./memory-move";
import { noop } from "./noop";
import type { Operation } from "./operation";

/** The operations of the model. OPCAP and the checks of descriptors follow this table. */
export const OPERATIONS: readonly Operation[] = [
  noop,
  batch,
  drain,
  memoryMove,
  fill,
  compare,
  comparePattern,
  dualcast,
  crcGeneration,
  copyWithCrc,
  cacheFlush,
];

const BY_CODE = new Map(OPERATIONS.map((operation) => [operation.code, operation]));

/** The operation with this code; undefined if the model does not have it. */
export function operationOf(code: number): Operation | undefined {
  return BY_CODE.get(code);
}

/** OPCAP, and the initial value of OPCFG: bit n for operation n, the first 64 of 256 bits (the rest is 0). */
export const OPERATIONS_SUPPORTED: bigint = OPERATIONS.reduce((bits, { code }) => bits | (1n << BigInt(code)), 0n);
