import { configSpace, msix, PcieType, pciExpress, powerManagement } from "../../config-space/index";
import type { RegisterFile } from "../../registers/index";
import { BAR0_BYTES, MSIX_PENDING_BITS_OFFSET, MSIX_TABLE_OFFSET } from "./bar0";
import { ALL_CHANNEL_ERRORS } from "./channel-error";

const DMA_UNCORRECTABLE_ERRORS = 0x1fff;

/**
 * Config space of 8086:2021. Capabilities and error registers have their places from the Xeon E7 v2 datasheet, volume
 * 2, section 14.4. There is no extended capability list.
 */
export const IOAT_CONFIG = configSpace("IOAT config", {
  header: {
    vendor: 0x8086,
    device: 0x2021,
    revision: 0x04,
    classCode: 0x088000,
    interruptPin: 1,
    bars: [{ index: 0, bytes: BAR0_BYTES, width: 64 }],
  },
  capabilities: [
    msix(0x80, {
      vectors: 1,
      table: { bar: 0, offset: MSIX_TABLE_OFFSET },
      pendingBits: { bar: 0, offset: MSIX_PENDING_BITS_OFFSET },
    }),
    pciExpress(0x90, { type: PcieType.rootComplexIntegratedEndpoint }),
    powerManagement(0xe0),
  ],
  extended: [],
  registers: {
    DMAUNCERRSTS: {
      offset: 0x148,
      bytes: 4,
      writeOneToClear: DMA_UNCORRECTABLE_ERRORS,
      sticky: DMA_UNCORRECTABLE_ERRORS,
    },
    DMAUNCERRMSK: { offset: 0x14c, bytes: 4, readWrite: DMA_UNCORRECTABLE_ERRORS, sticky: DMA_UNCORRECTABLE_ERRORS },
    DMAUNCERRSEV: { offset: 0x150, bytes: 4, readWrite: DMA_UNCORRECTABLE_ERRORS, sticky: DMA_UNCORRECTABLE_ERRORS },
    DMAUNCERRPTR: { offset: 0x154, bytes: 1, sticky: 0x1f },
    DMAGLBERRPTR: { offset: 0x160, bytes: 1, sticky: 0x0f },
    CHANERR_INT: { offset: 0x180, bytes: 4, writeOneToClear: ALL_CHANNEL_ERRORS, sticky: ALL_CHANNEL_ERRORS },
    CHANERRMSK_INT: { offset: 0x184, bytes: 4, readWrite: ALL_CHANNEL_ERRORS, sticky: ALL_CHANNEL_ERRORS },
    CHANERRSEV_INT: { offset: 0x188, bytes: 4, readWrite: ALL_CHANNEL_ERRORS, sticky: ALL_CHANNEL_ERRORS },
    CHANERRPTR: { offset: 0x18c, bytes: 1, sticky: 0x1f },
  },
});

export type Config = RegisterFile<(typeof IOAT_CONFIG)["declarations"]>;
