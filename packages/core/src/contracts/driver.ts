import type { DmaRegion } from "../iommu/dma-region";
import type { PciDevice } from "../pci/pci-device";

/** What one device driver can do; fixed once it is created. */
export interface DriverLimits {
  /** Bytes one copy may have at most and at least. */
  readonly maxMemcpySize: number;
  readonly minMemcpySize: number;
  /** Repeats of one copy that a single start may ask for. */
  readonly maxMemcpyCount: number;
  /** Addresses and sizes must be multiples of this; 1 when anything goes. */
  readonly alignment: number;
}

/**
 * A device family's driver, on `core` alone: nothing here that a vendor's private package could not use.
 * The contract is upstream's (inventory, section 1.7), with bounded waits.
 */
export interface Driver {
  readonly name: string;
  /** PCI ids it serves; and/or `probe` for what ids cannot tell. At least one of both. */
  readonly ids?: readonly { readonly vendor: number; readonly device: number }[];
  /** Asked only when the ids match (or are absent). A string says why the device is refused. */
  probe?(device: PciDevice): true | string;
  /** Bytes of DMA memory the driver needs for itself; allocated and mapped by the caller (rounded up to pages). */
  readonly regionSize: number;
  /** Brings the device up. `remove` brings it down; both may be repeated. */
  create(device: PciDevice, region: DmaRegion): DriverInstance;
}

export interface DriverInstance {
  readonly limits: DriverLimits;
  /** MSI or MSI-X vector that `sendMsi` raises; undefined when the device cannot. */
  readonly msiVector?: number;
  /**
   * Starts `count` repeats of one copy between I/O virtual addresses and returns at once. The device raises no interrupt.
   * Throws when size, count or alignment is outside `limits`, or while a copy is in progress.
   */
  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void;
  /**
   * Waits for the copies started; all DMA has ended when it returns or throws. Throws VfioError with the device's error
   * registers when the device reported an error (the driver has recovered: the next copy works), `ETIMEDOUT` with the
   * device's state when it does not finish within `timeoutMs`.
   */
  memcpyWait(options?: { timeoutMs?: number }): void;
  /** Makes the device raise `msiVector` exactly once. Absent when it cannot. */
  sendMsi?(): void;
  /** Stops the device and frees what `create` took; idempotent; allowed during a copy. */
  remove(): void;
}
