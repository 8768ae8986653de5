import type { DmaRegion } from "../iommu/dma-region";
import type { PciDevice } from "../pci/pci-device";

/** What one device driver can do; fixed once it is created. `DriverSession` holds every caller to it. */
export interface DriverLimits {
  /** Bytes one copy may have at most and at least. */
  readonly maxMemcpySize: number;
  readonly minMemcpySize: number;
  /** Repeats of one copy that a single start may ask for. */
  readonly maxMemcpyCount: number;
  /** Addresses and sizes must be multiples of this, a power of two; 1 when anything goes. */
  readonly alignment: number;
}

/**
 * A device family's driver, on `core` alone: nothing here that a vendor's private package could not use. The contract
 * starts from the kernel's (struct vfio_pci_driver_ops, tools/testing/selftests/vfio/lib/include/libvfio/
 * vfio_pci_driver.h). It adds bounds to the waits, errors that tell the device's state, and copies that end by interrupt.
 */
export interface Driver {
  readonly name: string;
  /** PCI ids it serves; and/or `probe` for what ids cannot tell. At least one of both. */
  readonly ids?: readonly { readonly vendor: number; readonly device: number }[];
  /** Asked only when the ids match (or are absent). A string says why the driver refuses the device. */
  probe?(device: PciDevice): true | string;
  /** Bytes of DMA memory the driver needs for itself; the caller allocates and maps it (rounded up to pages). */
  readonly regionSize: number;
  /** Brings the device up. `remove` brings it down; both may be repeated. */
  create(device: PciDevice, region: DmaRegion): DriverInstance;
}

/**
 * A driver at work on one device. `DriverSession` calls it, and calls only what is allowed: arguments lie within `limits`,
 * no call but `memcpyEnded`, `memcpyWait` and `remove` comes during a copy, and none after `remove`. So a driver checks
 * none of this again.
 */
export interface DriverInstance {
  readonly limits: DriverLimits;
  /** MSI or MSI-X vector that `sendMsi` raises; undefined when the device cannot. */
  readonly msiVector?: number;
  /** Starts `count` repeats of one copy between I/O virtual addresses and returns at once. The device raises no interrupt. */
  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void;
  /**
   * Whether the copies started have come to their end, by success or by error: `memcpyWait` then returns or throws at
   * once. Neither blocks nor throws for an error of the device.
   */
  memcpyEnded(): boolean;
  /**
   * Waits for the copies started; all DMA has ended when it returns or throws. Throws VfioError with the device's error
   * registers when the device reported an error (the driver has recovered: the next copy works), `ETIMEDOUT` with the
   * device's state when it does not finish within `timeoutMs`. A `timeoutMs` of 0 so stops a copy.
   */
  memcpyWait(options?: { timeoutMs?: number }): void;
  /** How the device tells the end of a copy by an interrupt; absent when it cannot. */
  readonly completion?: CompletionInterrupt;
  /** Makes the device raise `msiVector` exactly once. Absent when it cannot. */
  sendMsi?(): void;
  /** Stops the device and frees what `create` took; idempotent; allowed during a copy. */
  remove(): void;
}

/** Copies whose end the device tells by an interrupt. */
export interface CompletionInterrupt {
  /** MSI or MSI-X vector that the device raises. The driver has enabled it. It may be `msiVector`. */
  readonly vector: number;
  /**
   * As `memcpyStart` for one copy. The device raises `vector` once `memcpyEnded` is true; an error may end the copy
   * without one.
   */
  start(source: bigint, destination: bigint, size: number): void;
}
