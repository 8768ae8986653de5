import { msixTableRegisters } from "../../config-space/index";
import { placedAt, type RegisterDeclarations, type RegisterFile, registerMap } from "../../registers/index";
import { ALL_CHANNEL_ERRORS, ChannelError } from "./channel-error";

/** Bytes of BAR0 (Xeon E7 v2 datasheet, volume 2, section 14.4: CB_BAR is 16 KiB). */
export const BAR0_BYTES = 0x4000;
export const MSIX_TABLE_OFFSET = 0x2000;
export const MSIX_PENDING_BITS_OFFSET = 0x3000;

/** log2 of the bytes that one descriptor may move: 1 MiB, as every 3.2 and 3.3 device reports. */
const TRANSFER_CAPABILITY = 20;
export const MAXIMUM_TRANSFER_BYTES = 2 ** TRANSFER_CAPABILITY;

export const Intrctrl = {
  /** Gates the shared interrupt; reading INTRCTRL clears it. */
  masterEnable: 0x01,
  /** Some channel wants attention. */
  status: 0x02,
  /** Status and master enable: the shared interrupt line. */
  interrupt: 0x04,
  /** Every channel interrupts by its own MSI-X vector, without master enable and ATTNSTATUS. */
  msixVectorControl: 0x08,
} as const;

export const Intrdelay = { microseconds: 0x3fff, coalescingSupported: 0x8000 } as const;

/** Bits of DMACAPABILITY that this model offers. A driver must not use the others. */
const DmaCapability = { pageBreak: 0x01, fill: 0x40 } as const;

export const Chanctrl = {
  /** Read: the channel's interrupts are off, as after each interrupt. Write 1: one more interrupt. */
  interruptDisable: 0x0001,
  errorCompletionEnable: 0x0004,
  anyErrorAbortEnable: 0x0008,
  errorInterruptEnable: 0x0010,
  descriptorSnoopDisable: 0x0020,
  /** Reads 0 once, then 1 until software writes 0. The reader of the 0 owns the channel. */
  inUse: 0x0100,
  completionDcaEnable: 0x0200,
} as const;

export const Chancmd = {
  start: 0x01,
  append: 0x02,
  suspend: 0x04,
  abort: 0x08,
  resume: 0x10,
  reset: 0x20,
} as const;

/** The low three bits of CHANSTS. */
export const ChannelStatus = { active: 0, done: 1, suspended: 2, halted: 3 } as const;

const DMA_COMPATIBILITY_V3_V2 = 0x6;

const GENERAL = {
  CHANCNT: { offset: 0x00, bytes: 1, reset: 1 },
  XFERCAP: { offset: 0x01, bytes: 1, reset: TRANSFER_CAPABILITY },
  GENCTRL: { offset: 0x02, bytes: 1, readWrite: 0x01 },
  INTRCTRL: { offset: 0x03, bytes: 1, readWrite: Intrctrl.masterEnable | Intrctrl.msixVectorControl },
  ATTNSTATUS: { offset: 0x04, bytes: 4, readToClear: 0x1 },
  CBVER: { offset: 0x08, bytes: 1, reset: 0x33 },
  PERPORTOFFSET: { offset: 0x0a, bytes: 2 },
  INTRDELAY: { offset: 0x0c, bytes: 2, reset: Intrdelay.coalescingSupported, readWrite: Intrdelay.microseconds },
  CS_STATUS: { offset: 0x0e, bytes: 2 },
  DMACAPABILITY: { offset: 0x10, bytes: 4, reset: DmaCapability.pageBreak | DmaCapability.fill },
  DCAOFFSET: { offset: 0x14, bytes: 2 },
  CBPRIO: { offset: 0x40, bytes: 1 },
} as const satisfies RegisterDeclarations;

/** The only channel's block. More channels would follow every 0x80 bytes. */
const CHANNEL_BASE = 0x80;

const CHANNEL = placedAt(CHANNEL_BASE, {
  CHANCTRL: {
    offset: 0x00,
    bytes: 2,
    writeOneToClear: Chanctrl.interruptDisable,
    readWrite:
      Chanctrl.errorCompletionEnable |
      Chanctrl.anyErrorAbortEnable |
      Chanctrl.errorInterruptEnable |
      Chanctrl.descriptorSnoopDisable |
      Chanctrl.inUse |
      Chanctrl.completionDcaEnable,
  },
  DMA_COMP: { offset: 0x02, bytes: 2, reset: DMA_COMPATIBILITY_V3_V2 },
  CHANCMD: { offset: 0x04, bytes: 1 },
  DMACOUNT: { offset: 0x06, bytes: 2, readWrite: 0xffff },
  CHANSTS: { offset: 0x08, bytes: 8, reset: ChannelStatus.halted },
  CHAINADDR: { offset: 0x10, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn },
  CHANCMP: { offset: 0x18, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn },
  CDAR: { offset: 0x20, bytes: 8 },
  CHANERR: { offset: 0x28, bytes: 4, writeOneToClear: ALL_CHANNEL_ERRORS, sticky: ALL_CHANNEL_ERRORS },
  CHANERRMSK: {
    offset: 0x2c,
    bytes: 4,
    reset: ChannelError.xorPOrCrc | ChannelError.xorQ,
    readWrite: ALL_CHANNEL_ERRORS,
    sticky: ALL_CHANNEL_ERRORS,
  },
  DCACTRL: { offset: 0x30, bytes: 4, readWrite: 0x1_ffff },
});

/** BAR0 (names as in the datasheet; the kernel's drivers/dma/ioat/registers.h has most of them). */
export const IOAT_BAR0 = registerMap("IOAT BAR0", BAR0_BYTES, {
  ...GENERAL,
  ...CHANNEL,
  ...msixTableRegisters(MSIX_TABLE_OFFSET, 1),
  MSIX_PENDING_BITS: { offset: MSIX_PENDING_BITS_OFFSET, bytes: 8 },
});

export type Bar0 = RegisterFile<(typeof IOAT_BAR0)["declarations"]>;
