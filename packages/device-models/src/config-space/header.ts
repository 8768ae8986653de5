import type { RegisterDeclarations } from "../registers/index";

/** A memory BAR. A 64-bit one takes the next index as well, so do not declare that one. */
export interface BarDeclaration {
  /** Its number. */
  readonly index: 0 | 1 | 2 | 3 | 4 | 5;
  /** Bytes; a power of two of at least 16 (PCI Local Bus 3.0, section 6.2.5.1). */
  readonly bytes: number;
  /** Bits of its address. */
  readonly width: 32 | 64;
  /** Default false. */
  readonly prefetchable?: boolean;
}

/** A device's identity: the fixed part of a type 0 header (PCI Local Bus 3.0, section 6.1). */
export interface HeaderDeclaration {
  /** Vendor id, 16 bits. */
  readonly vendor: number;
  /** Device id, 16 bits. */
  readonly device: number;
  /** 8 bits. Default 0. */
  readonly revision?: number;
  /** Base class, subclass and programming interface, as in 0x088000. */
  readonly classCode: number;
  /** 16 bits. Default 0. */
  readonly subsystemVendor?: number;
  /** 16 bits. Default 0. */
  readonly subsystem?: number;
  /** 1 for INTA. Default 0, no INTx. */
  readonly interruptPin?: number;
  /** The memory BARs. Others are not implemented. */
  readonly bars: readonly BarDeclaration[];
}

/** Bits of the command register (PCI Express 4.0, section 7.5.1.1.3). */
export const Command = {
  memorySpace: 0x0002,
  busMaster: 0x0004,
  parityErrorResponse: 0x0040,
  serrEnable: 0x0100,
  interruptDisable: 0x0400,
} as const;

/** Bits of the status register (PCI Express 4.0, section 7.5.1.1.4). */
export const Status = {
  interruptStatus: 0x0008,
  capabilitiesList: 0x0010,
  /** Parity, target abort, master abort and system error bits: write 1 to clear. */
  errors: 0xf900,
} as const;

/** Registers of a type 0 header without capability pointer and BARs. */
export function headerRegisters(header: HeaderDeclaration) {
  return {
    VENDOR_ID: { offset: 0x00, bytes: 2, reset: header.vendor },
    DEVICE_ID: { offset: 0x02, bytes: 2, reset: header.device },
    COMMAND: {
      offset: 0x04,
      bytes: 2,
      readWrite:
        Command.memorySpace |
        Command.busMaster |
        Command.parityErrorResponse |
        Command.serrEnable |
        Command.interruptDisable,
    },
    STATUS: { offset: 0x06, bytes: 2, reset: Status.capabilitiesList, writeOneToClear: Status.errors },
    REVISION_ID: { offset: 0x08, bytes: 1, reset: header.revision ?? 0 },
    PROGRAMMING_INTERFACE: { offset: 0x09, bytes: 1, reset: header.classCode & 0xff },
    SUBCLASS: { offset: 0x0a, bytes: 1, reset: (header.classCode >>> 8) & 0xff },
    BASE_CLASS: { offset: 0x0b, bytes: 1, reset: (header.classCode >>> 16) & 0xff },
    CACHE_LINE_SIZE: { offset: 0x0c, bytes: 1, readWrite: 0xff },
    LATENCY_TIMER: { offset: 0x0d, bytes: 1 },
    HEADER_TYPE: { offset: 0x0e, bytes: 1 },
    BIST: { offset: 0x0f, bytes: 1 },
    SUBSYSTEM_VENDOR_ID: { offset: 0x2c, bytes: 2, reset: header.subsystemVendor ?? header.vendor },
    SUBSYSTEM_ID: { offset: 0x2e, bytes: 2, reset: header.subsystem ?? 0 },
    ROM_BASE: { offset: 0x30, bytes: 4 },
    INTERRUPT_LINE: { offset: 0x3c, bytes: 1, readWrite: 0xff },
    INTERRUPT_PIN: { offset: 0x3d, bytes: 1, reset: header.interruptPin ?? 0 },
    MIN_GRANT: { offset: 0x3e, bytes: 1 },
    MAX_LATENCY: { offset: 0x3f, bytes: 1 },
  } as const satisfies RegisterDeclarations;
}

/**
 * Base address registers `BAR0`..`BAR5`. Address bits below the size do not exist, so software learns the size by
 * writing all ones and reading back.
 */
export function barRegisters(bars: readonly BarDeclaration[]): RegisterDeclarations {
  const registers: Record<string, RegisterDeclarations[string]> = {};
  for (const { index, bytes, width, prefetchable } of bars) {
    if (!Number.isSafeInteger(bytes) || bytes < 16 || 2 ** Math.round(Math.log2(bytes)) !== bytes) {
      throw new RangeError(`BAR${index}: ${bytes} bytes; allowed: a power of two of at least 16`);
    }
    if (width === 32 && bytes > 0x8000_0000) throw new RangeError(`BAR${index}: ${bytes} bytes need a 64-bit BAR`);
    if (width === 64 && index === 5) throw new RangeError("BAR5 has no following register for a 64-bit address");
    const type = (width === 64 ? 0x4 : 0) | (prefetchable === true ? 0x8 : 0);
    const mask = ~(BigInt(bytes) - 1n) & 0xffff_ffff_ffff_ffffn;
    const offset = 0x10 + index * 4;
    registers[`BAR${index}`] = { offset, bytes: 4, reset: type, readWrite: mask & 0xffff_ffffn };
    if (width === 64) registers[`BAR${index + 1}`] = { offset: offset + 4, bytes: 4, readWrite: mask >> 32n };
  }
  return registers;
}
