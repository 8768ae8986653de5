/** QEMU's edu device, an exercise for driver authors (docs/specs/edu.rst). */
export const EDU = { vendor: 0x1234, device: 0x11e8 } as const;

/** Registers of BAR 0. */
export const EDU_REGISTERS = {
  /** Sets bits of the interrupt status; while one is set the device asserts INTx. */
  interruptRaise: 0x60,
  /** Clears bits of the interrupt status. */
  interruptAcknowledge: 0x64,
  dmaSource: 0x80,
  dmaDestination: 0x88,
  dmaCount: 0x90,
  dmaCommand: 0x98,
} as const;

/** Bits of `dmaCommand`. */
export const EDU_DMA_COMMAND = {
  /** Stays set until the transfer has ended. */
  start: 1 << 0,
  /** From the buffer to memory. */
  toMemory: 1 << 1,
} as const;

/** The device's buffer: its address as the DMA engine sees it, and its bytes. The one channel copies to or from it. */
export const EDU_BUFFER = { address: 0x40000n, size: 4096 } as const;

/** edu's DMA reaches the IOVAs below this (its property dma_mask: 28 bits); no device that we know reaches fewer. */
export const EDU_IOVA_LIMIT = 2n ** 28n;
