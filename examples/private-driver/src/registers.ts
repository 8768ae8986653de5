/**
 * The registers and descriptors of the DMA function in PLX PEX 87xx switches, as far as the kernel's driver tells of them
 * (drivers/dma/plx_dma.c).
 */

// #region registers
export const VENDOR_ID = 0x10b5;
export const DEVICE_ID = 0x87d0;

/** Byte offsets in BAR 0; the number is the width in bits. */
export const Reg = {
  /** 32 and 32: I/O virtual address of the ring of descriptors. */
  ringAddress: 0x214,
  ringAddressHigh: 0x218,
  /** 32: low half of the address of the descriptor that the device fetches next. */
  ringNext: 0x21c,
  /** 32: descriptors in the ring. */
  ringCount: 0x220,
  /** 32: how many descriptors the device may fetch ahead. */
  prefetchLimit: 0x234,
  /** 16: bits of {@link Control}. */
  control: 0x238,
  /** 16: bits of {@link Control2}. */
  control2: 0x23a,
  /** 16: bits of {@link Interrupt}, write 1 to clear. */
  interruptStatus: 0x23e,
} as const;

export const Control = {
  abort: 1 << 1,
  /** The device writes the result of each descriptor back into it. */
  writeBack: 1 << 2,
  /** Reads 0. */
  start: 1 << 3,
  /** The descriptors are in memory. */
  offChip: 2 << 5,
  /** The device met a descriptor that is not valid, and has stopped there. Write 1 to clear, as the three below. */
  invalidDescriptor: 1 << 8,
  pauseDone: 1 << 9,
  abortDone: 1 << 10,
  immediatePauseDone: 1 << 12,
} as const;
// #endregion registers

/** The bits of the control register that software clears by writing 1. */
export const CONTROL_EVENTS =
  Control.invalidDescriptor | Control.pauseDone | Control.abortDone | Control.immediatePauseDone;

export const Control2 = { inProgress: 1 << 14 } as const;

export const Interrupt = {
  error: 1 << 0,
  invalidDescriptor: 1 << 1,
  descriptorDone: 1 << 2,
} as const;

// #region descriptor
/** One descriptor: 16 bytes in four words. */
export const Descriptor = {
  bytes: 16,
  words: 4,
  /** Word 0: the size, with the bits of {@link Flag}; the device writes {@link Result} back. */
  flagsAndSize: 0,
  /** Word 1: bits 32 to 47 of the destination's address (low half) and of the source's (high half). */
  highAddresses: 1,
  destinationLow: 2,
  sourceLow: 3,
} as const;

/** The size in word 0; written back: the bytes that were copied. */
export const SIZE_MASK = 0x7ff_ffff;
export const Flag = { valid: 1 << 31, interruptWhenDone: 1 << 30 } as const;
export const Result = { success: 1 << 30, readFailed: 1 << 29, writeFailed: 1 << 28 } as const;
/** Addresses have 48 bits. */
export const LAST_ADDRESS = 0xffff_ffff_ffffn;
// #endregion descriptor
