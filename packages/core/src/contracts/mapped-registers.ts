import type { DmaMapping, MappableMemory } from "./memory";
import type { RegisterAccess } from "./register-access";

/**
 * Device registers mapped into the process, as `VfioDevice.mapRegion` gives them. They belong to their device: its
 * `close` closes them, and every access afterwards is `ERR_CLOSED`. They can be mapped for DMA (peer-to-peer).
 */
export interface MappedRegisters extends RegisterAccess, MappableMemory, Disposable {
  /** What is mapped, for error messages: `0000:01:00.0 region 0`. */
  readonly name: string;
  addMapping(mapping: DmaMapping): void;
  removeMapping(mapping: DmaMapping): void;
  /** Throws ERR_STILL_MAPPED, naming the IOVA, while they are mapped for DMA. An owner asks all before it closes one. */
  requireNotMapped(operation: string): void;
  /** Unmaps; idempotent. Throws ERR_STILL_MAPPED, and does nothing, while they are mapped for DMA. */
  close(): void;
}
