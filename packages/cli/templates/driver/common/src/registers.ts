/** The device's registers, as its manual lists them. Driver and model share this file. Replace it all by your device's. */

/** PCI ids. */
export const VENDOR_ID = 0x1234;
export const DEVICE_ID = 0xc0de;

/** Byte offsets in BAR 0; the number after the name is the width in bits. */
export const Reg = {
  /** 32, read only: {@link VERSION}. */
  version: 0x00,
  /** 32, write only: bits of {@link Control}. Reads 0. */
  control: 0x04,
  /** 32, read only: bits of {@link Status}. */
  status: 0x08,
  /** 32: bytes of a copy. */
  size: 0x0c,
  /** 64: I/O virtual address. */
  source: 0x10,
  /** 64: I/O virtual address. */
  destination: 0x18,
  /** 32: how often to make the copy. */
  count: 0x20,
  /** 64, read only: the address that the last copy could not reach. */
  faultAddress: 0x28,
} as const;

export const VERSION = 1;

export const Control = {
  /** Starts the copy that the registers describe. */
  start: 1 << 0,
  /** Ends all DMA and clears the registers. */
  reset: 1 << 1,
  /** With `start`: raises the interrupt at the end. */
  interruptAtEnd: 1 << 2,
  /** Raises the interrupt now. */
  interruptNow: 1 << 3,
} as const;

export const Status = {
  busy: 1 << 0,
  readFault: 1 << 1,
  writeFault: 1 << 2,
} as const;

/** The most bytes of one copy, and the most repeats. */
export const MAX_SIZE = 2 ** 20;
export const MAX_COUNT = 1024;

/** The one MSI-X vector. */
export const VECTOR = 0;
/** Where BAR 0 holds the MSI-X table and its pending bits. */
export const MSIX_TABLE = 0x800;
export const MSIX_PENDING_BITS = 0xc00;

export const BAR0_SIZE = 0x1000;
