/**
 * The registers this driver uses: the kernel's drivers/dma/ioat/registers.h, Intel's Xeon datasheets (volume 2, QuickData
 * registers). BAR0 offsets in bytes; the number after the name is the width in bits.
 */
export const Reg = {
  /** 8: log2 of the bytes one descriptor may move, in the low five bits. */
  XFERCAP: 0x01,
  /** 8 */
  INTRCTRL: 0x03,
  /** 8 */
  CBVER: 0x08,
  /** 16; the first channel's, as all below. */
  CHANCTRL: 0x80,
  /** 8 */
  CHANCMD: 0x84,
  /** 16: descriptors handed over since the last write of CHAINADDR. A write starts the channel. */
  DMACOUNT: 0x86,
  /** 64: descriptor last completed or failed; the low three bits are the status. */
  CHANSTS: 0x88,
  /** 64 */
  CHAINADDR: 0x90,
  /** 64: address to which the channel writes CHANSTS, for descriptors that ask for it. */
  CHANCMP: 0x98,
  /** 32, write 1 to clear. */
  CHANERR: 0xa8,
} as const;

/** BAR0 must hold all of the channel's registers. */
export const BAR0_MINIMUM = 0x100;

export const XFERCAP_MASK = 0x1f;
/** SPDK and the kernel's header know none below 4 KiB. */
export const XFERCAP_SMALLEST = 12;

export const INTRCTRL_MSIX_VECTOR_CONTROL = 0x08;

export const Chanctrl = {
  /** Writing 1 enables one more interrupt. */
  interruptRearm: 0x0001,
  /** An error writes its completion as well. */
  errorCompletionEnable: 0x0004,
  anyErrorAbortEnable: 0x0008,
} as const;

export const Chancmd = { suspend: 0x04, reset: 0x20 } as const;

export const STATUS_MASK = 0x7;
export const Status = { active: 0, done: 1, suspended: 2, halted: 3 } as const;

/** Error registers in config space, 32 bits, write 1 to clear. */
export const ConfigReg = { DMAUNCERRSTS: 0x148, CHANERR_INT: 0x180 } as const;

/** Control bits of a descriptor. The operation, in the top byte, is 0 for a copy. */
export const Control = { interrupt: 0x1, completionWrite: 0x8 } as const;

/** Bits of CHANERR, in order. */
const CHANNEL_ERRORS: readonly string[] = [
  "source address",
  "destination address",
  "next descriptor address",
  "descriptor",
  "chain address value",
  "channel command",
  "chipset data parity",
  "DMA data parity",
  "read data",
  "write data",
  "descriptor control",
  "descriptor length",
  "completion address",
  "interrupt configuration",
  "super extended descriptor address",
  "unaffiliated",
  "CRC or XOR P",
  "XOR Q",
  "descriptor count",
];

/** `source address, read data` for 0x101. */
export function channelErrorNames(chanerr: number): string {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    if ((chanerr & (1 << bit)) !== 0) names.push(CHANNEL_ERRORS[bit] ?? `bit ${bit}`);
  }
  return names.join(", ");
}
