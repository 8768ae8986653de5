/**
 * The operations of the DSA architecture (specification 341204, tables 5-3 to 5-5 and section 8.3): which flags and
 * fields each may use. The model's checks and OPCAP are computed from this table.
 */

/** Descriptor flags (section 8.1.3), bits of the 24-bit Flags field. */
export const Flag = {
  fence: 1 << 0,
  blockOnFault: 1 << 1,
  completionAddressValid: 1 << 2,
  requestCompletionRecord: 1 << 3,
  requestCompletionInterrupt: 1 << 4,
  checkResult: 1 << 7,
  cacheControl: 1 << 8,
  trafficClass1: 1 << 9,
  trafficClass2: 1 << 10,
  trafficClass3: 1 << 11,
  completionTrafficClass: 1 << 12,
  strictOrdering: 1 << 13,
  destinationReadback: 1 << 14,
  /** Of Drain. */
  suppressReadbackA: 1 << 18,
  suppressReadbackB: 1 << 19,
  /** Of CRC Generation and Copy with CRC Generation. */
  readCrcSeed: 1 << 16,
  bypassCrcInversion: 1 << 17,
  bypassDataReflection: 1 << 18,
} as const;

export const Opcode = {
  noop: 0x00,
  batch: 0x01,
  drain: 0x02,
  memoryMove: 0x03,
  fill: 0x04,
  compare: 0x05,
  comparePattern: 0x06,
  createDelta: 0x07,
  applyDelta: 0x08,
  dualcast: 0x09,
  translationFetch: 0x0a,
  crcGeneration: 0x10,
  copyWithCrc: 0x11,
  difCheck: 0x12,
  difInsert: 0x13,
  difStrip: 0x14,
  difUpdate: 0x15,
  cacheFlush: 0x20,
} as const;

/** What the 32-bit field at byte 32 is. */
export type SizeField = "none" | "transfer size" | "descriptor count";

export interface Operation {
  readonly code: number;
  /** As the Linux header linux/idxd.h abbreviates it. */
  readonly name: string;
  /** False: OPCAP says no, and a descriptor with it ends in status 0x10. */
  readonly modelled: boolean;
  /** Flags it may use besides those that every operation may. */
  readonly flags: number;
  /** Flags that must be set. */
  readonly required: number;
  /** Bytes that must be zero, first and last. */
  readonly reserved: readonly (readonly [first: number, last: number])[];
  readonly size: SizeField;
}

const WRITES = Flag.cacheControl | Flag.strictOrdering | Flag.destinationReadback;
const CRC = Flag.readCrcSeed | Flag.bypassCrcInversion | Flag.bypassDataReflection;
const RECORD = Flag.completionAddressValid | Flag.requestCompletionRecord;

const MODELLED: readonly Omit<Operation, "modelled">[] = [
  {
    code: Opcode.noop,
    name: "NOOP",
    flags: 0,
    required: 0,
    reserved: [
      [16, 35],
      [38, 63],
    ],
    size: "none",
  },
  {
    code: Opcode.batch,
    name: "BATCH",
    flags: Flag.trafficClass1,
    required: 0,
    reserved: [
      [24, 31],
      [38, 63],
    ],
    size: "descriptor count",
  },
  {
    // Readback addresses are reserved, since GENCAP's Drain Descriptor Readback Address Support is 0.
    code: Opcode.drain,
    name: "DRAIN",
    flags: Flag.suppressReadbackA | Flag.suppressReadbackB,
    required: 0,
    reserved: [
      [16, 35],
      [38, 63],
    ],
    size: "none",
  },
  {
    code: Opcode.memoryMove,
    name: "MEMMOVE",
    flags: WRITES | Flag.trafficClass1 | Flag.trafficClass2,
    required: 0,
    reserved: [[38, 63]],
    size: "transfer size",
  },
  {
    code: Opcode.fill,
    name: "MEMFILL",
    flags: WRITES | Flag.trafficClass2,
    required: 0,
    reserved: [[38, 63]],
    size: "transfer size",
  },
  {
    code: Opcode.compare,
    name: "COMPARE",
    flags: Flag.checkResult | Flag.trafficClass1 | Flag.trafficClass2,
    required: RECORD,
    reserved: [
      [38, 39],
      [41, 63],
    ],
    size: "transfer size",
  },
  {
    code: Opcode.comparePattern,
    name: "COMPVAL",
    flags: Flag.checkResult | Flag.trafficClass1,
    required: RECORD,
    reserved: [
      [38, 39],
      [41, 63],
    ],
    size: "transfer size",
  },
  {
    code: Opcode.dualcast,
    name: "DUALCAST",
    flags: WRITES | Flag.trafficClass1 | Flag.trafficClass2 | Flag.trafficClass3,
    required: 0,
    reserved: [
      [38, 39],
      [48, 63],
    ],
    size: "transfer size",
  },
  {
    // The seed and its address are reserved in turn, by Read CRC Seed: see descriptor-checks.ts.
    code: Opcode.crcGeneration,
    name: "CRCGEN",
    flags: CRC | Flag.trafficClass1 | Flag.trafficClass3,
    required: RECORD,
    reserved: [
      [24, 31],
      [38, 39],
      [44, 47],
      [56, 63],
    ],
    size: "transfer size",
  },
  {
    code: Opcode.copyWithCrc,
    name: "COPY_CRC",
    flags: WRITES | CRC | Flag.trafficClass1 | Flag.trafficClass2 | Flag.trafficClass3,
    required: RECORD,
    reserved: [
      [38, 39],
      [44, 47],
      [56, 63],
    ],
    size: "transfer size",
  },
  {
    // Cache Control 1 selects no encoding that Cache Flush has (table 8-4).
    code: Opcode.cacheFlush,
    name: "CFLUSH",
    flags: Flag.strictOrdering | Flag.destinationReadback | Flag.trafficClass2,
    required: 0,
    reserved: [
      [16, 23],
      [38, 63],
    ],
    size: "transfer size",
  },
];

const NOT_MODELLED: readonly (readonly [code: number, name: string])[] = [
  [Opcode.createDelta, "CR_DELTA"],
  [Opcode.applyDelta, "AP_DELTA"],
  [Opcode.translationFetch, "TRANSL_FETCH"],
  [Opcode.difCheck, "DIF_CHECK"],
  [Opcode.difInsert, "DIF_INS"],
  [Opcode.difStrip, "DIF_STRP"],
  [Opcode.difUpdate, "DIF_UPDT"],
];

export const OPERATIONS: readonly Operation[] = [
  ...MODELLED.map((operation) => ({ ...operation, modelled: true })),
  ...NOT_MODELLED.map(([code, name]) => ({
    code,
    name,
    modelled: false,
    flags: 0,
    required: 0,
    reserved: [],
    size: "none" as const,
  })),
];

const BY_CODE = new Map(OPERATIONS.map((operation) => [operation.code, operation]));

/** The declaration of an operation the model carries out. */
export function modelledOperation(code: number): Operation | undefined {
  const operation = BY_CODE.get(code);
  return operation?.modelled === true ? operation : undefined;
}

/** OPCAP and the value OPCFG starts with: bit n for operation n, the first 64 of 256 bits (the rest is 0). */
export const OPERATIONS_SUPPORTED: bigint = OPERATIONS.reduce(
  (bits, { code, modelled }) => (modelled ? bits | (1n << BigInt(code)) : bits),
  0n,
);
