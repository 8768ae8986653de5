import { configSpace, msix, msixTableRegisters, registerMap } from "@vfio-selftests/device-models";

const BAR0_BYTES = 0x10_0000;
/** Where the table of vectors lies. The specification has MSI instead, in configuration space. */
const MSIX = { table: 0x8000, pendingBits: 0x9000 } as const;

export const Status = { computing: 0x01, interruptWhenDone: 0x80 } as const;
export const DmaCommand = { start: 0x1, toMemory: 0x2, interruptWhenDone: 0x4 } as const;

/** Bits of the interrupt status that the device itself sets. */
export const Interrupt = { factorial: 0x1, dma: 0x100 } as const;

/** The device's memory, as its DMA engine addresses it. */
export const BUFFER = { address: 0x4_0000, bytes: 4096 } as const;
/** The DMA engine has 28 address lines. */
export const ADDRESS_MASK = 0xfff_ffffn;

// #region bar0
const ALL = 0xffff_ffff;
const ALL_64 = 0xffff_ffff_ffff_ffffn;
/** Below 0x80, registers take accesses of 4 bytes alone. */
const WORD = { bytes: 4, accessBytes: [4] } as const;
const WIDE = { bytes: 8, accessBytes: [4, 8] } as const;

export const BAR0 = registerMap("edu BAR 0", BAR0_BYTES, {
  IDENTIFICATION: { offset: 0x00, ...WORD, reset: 0x0100_00ed },
  LIVENESS: { offset: 0x04, ...WORD, readWrite: ALL },
  FACTORIAL: { offset: 0x08, ...WORD, readWrite: ALL },
  STATUS: { offset: 0x20, ...WORD, readWrite: Status.interruptWhenDone },
  INTERRUPT_STATUS: { offset: 0x24, ...WORD },
  INTERRUPT_RAISE: { offset: 0x60, ...WORD },
  INTERRUPT_ACKNOWLEDGE: { offset: 0x64, ...WORD },
  DMA_SOURCE: { offset: 0x80, ...WIDE, readWrite: ALL_64 },
  DMA_DESTINATION: { offset: 0x88, ...WIDE, readWrite: ALL_64 },
  DMA_COUNT: { offset: 0x90, ...WIDE, readWrite: ALL_64 },
  DMA_COMMAND: {
    offset: 0x98,
    ...WIDE,
    readWrite: DmaCommand.start | DmaCommand.toMemory | DmaCommand.interruptWhenDone,
  },
  ...msixTableRegisters(MSIX.table, 1),
});
// #endregion bar0

// #region config
export const CONFIG = configSpace("edu config", {
  header: {
    vendor: 0x1234,
    device: 0x11e8,
    revision: 0x10,
    classCode: 0x00_ff_00,
    bars: [{ index: 0, bytes: BAR0_BYTES, width: 32 }],
  },
  capabilities: [
    msix(0x40, {
      vectors: 1,
      table: { bar: 0, offset: MSIX.table },
      pendingBits: { bar: 0, offset: MSIX.pendingBits },
    }),
  ],
  extended: [],
  registers: {},
});
// #endregion config
