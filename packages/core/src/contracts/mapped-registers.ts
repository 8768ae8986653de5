import type { DmaMapping, MappableMemory } from "./memory";
import type { RegisterAccess } from "./register-access";

/**
 * Device registers that `VfioDevice.mapRegion` mapped into the process. They belong to their device: its `close` closes
 * them, and every later access is `ERR_CLOSED`. They can be mapped for DMA (peer-to-peer).
 */
export interface MappedRegisters extends RegisterAccess, MappableMemory, Disposable {
  /** Their name in error messages: `0000:01:00.0 region 0`. */
  readonly name: string;
  /** `Iommu` calls it when a DMA mapping of these registers begins. */
  addMapping(mapping: DmaMapping): void;
  /** `Iommu` calls it when a DMA mapping of these registers ends. */
  removeMapping(mapping: DmaMapping): void;
  /**
   * Throws ERR_STILL_MAPPED, with the IOVA, while they are mapped for DMA. An owner calls it for all before it closes
   * one.
   */
  requireNotMapped(operation: string): void;
  /** Unmaps. Idempotent. Throws ERR_STILL_MAPPED, and does nothing, while they are mapped for DMA. */
  close(): void;
}
