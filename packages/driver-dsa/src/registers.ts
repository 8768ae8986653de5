/**
 * The part of the Data Streaming Accelerator's registers and structures that the driver uses (architecture
 * specification 341204, chapters 8 and 9; linux/idxd.h). Offsets in bytes.
 */

/** BAR0. */
export const Reg = {
  VERSION: 0x00,
  GENCAP: 0x10,
  WQCAP: 0x20,
  GRPCAP: 0x30,
  ENGCAP: 0x38,
  OPCAP: 0x40,
  OFFSETS: 0x60,
  GENSTS: 0x90,
  CMD: 0xa0,
  CMDSTATUS: 0xa8,
  CMDCAP: 0xb0,
  SWERROR: 0xc0,
} as const;

export const REGISTERS_BAR = 0;
export const PORTALS_BAR = 2;

/** The unlimited MSI-X portal of work queue 0, in BAR2. */
export const PORTAL = 0;

/** Unit of the table offsets. */
export const TABLE_UNIT = 0x100;

export const GenCap = { cacheControl: 1n << 2n, commandCapabilities: 1n << 4n, destinationReadback: 1n << 8n } as const;
export const WqCap = { atsControl: 1n << 50n, operationsConfiguration: 1n << 54n } as const;

export const GENSTS_STATE = 0x3;
export const DeviceState = { disabled: 0, enabled: 1, draining: 2, halted: 3 } as const;

export const Command = { enableDevice: 1, resetDevice: 5, enableWorkQueue: 6, requestInterruptHandle: 13 } as const;
export const COMMAND_SHIFT = 20;
export const CMDSTATUS_ACTIVE = 0x8000_0000;
export const CMDSTATUS_ERROR = 0xff;

/** SWERROR: Valid and Overflow. Writing 1 clears them. */
export const SWERROR_VALID = 1;
export const SWERROR_CLEAR = 3n;

/** WQCFG's words. */
export const WqWord = { size: 0, threshold: 1, mode: 2, limits: 3, state: 6, operations: 8 } as const;
export const WqMode = { dedicated: 1, atsDisable: 1 << 2, priority1: 1 << 4 } as const;
export const WQ_STATE_SHIFT = 30;
export const WQ_STATE_ENABLED = 1;
export const WQ_BATCH_SHIFT = 5;

/** GRPCFG. */
export const GROUP_ENGINES = 32;

export const Opcode = { batch: 1, memoryMove: 3 } as const;

/** Descriptor flags. */
export const Flag = {
  completionAddressValid: 1 << 2,
  requestCompletionRecord: 1 << 3,
  requestCompletionInterrupt: 1 << 4,
  cacheControl: 1 << 8,
  destinationReadback: 1 << 14,
} as const;

/** Descriptor: the privileged bit of its first word. */
export const PRIVILEGED = 0x8000_0000;

export const DESCRIPTOR_BYTES = 64;
export const RECORD_BYTES = 32;

/** Operation status, bits 5:0 of a completion record's first byte. */
export const STATUS_MASK = 0x3f;
export const STATUS_WRITE_FAULT = 0x80;
export const Status = { success: 1, pageFault: 3, batchFailure: 5, batchPageFault: 6 } as const;
