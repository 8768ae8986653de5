import type { DmaRegion } from "../iommu/dma-region";
import type { PciDevice } from "../pci/pci-device";

/** What one device driver can do, fixed once it is created. `DriverSession` holds every caller to it. */
export interface DriverLimits {
  /** The most and the fewest bytes of one copy. */
  readonly maxMemcpySize: number;
  /** See `maxMemcpySize`. */
  readonly minMemcpySize: number;
  /** The most repeats of one copy in a single start. */
  readonly maxMemcpyCount: number;
  /** Addresses and sizes must be multiples of this power of two. 1: anything goes. */
  readonly alignment: number;
}

/** How a copy's DMA can be refused: at an address that is not mapped, or by a write to one that the device may only read. */
export type DmaFaultKind = "unmapped" | "read-only";

/** Refused copies that the device ends as if they had worked. */
export interface HiddenFaults {
  /** Which refused copies these are. */
  readonly kinds: readonly DmaFaultKind[];
  /** The device's manual or erratum, for the report. */
  readonly why: string;
}

/** One register, for people who look at a device. */
export interface NamedRegister {
  /** Bytes from the start of the BAR, a multiple of `bytes`. */
  readonly offset: number;
  /** Its width. */
  readonly bytes: 1 | 2 | 4 | 8;
}

/** Registers of one BAR by their names in the device's manual. */
export interface NamedRegisters {
  /** The number of the BAR, 0 to 5. */
  readonly bar: number;
  /** The registers by their names. */
  readonly registers: Readonly<Record<string, NamedRegister>>;
}

/**
 * A device family's driver, on `core` alone: a vendor's private package could use everything here. The contract starts
 * from the kernel's (struct vfio_pci_driver_ops of libvfio/vfio_pci_driver.h in
 * tools/testing/selftests/vfio/lib/include). It adds bounds to the waits, errors that tell the device's state, and
 * copies that end by interrupt.
 */
export interface Driver {
  /** Its name in reports and for `--driver`. No two registered drivers have the same. */
  readonly name: string;
  /** PCI ids that it serves, or `probe` for what ids cannot tell, or both. */
  readonly ids?: readonly { readonly vendor: number; readonly device: number }[];
  /** Called only if the ids match (or are absent). A string says why the driver refuses the device. */
  probe?(device: PciDevice): true | string;
  /** Bytes of DMA memory that the driver needs for itself. The caller allocates and maps it (rounded up to pages). */
  readonly regionSize: number;
  /**
   * What the device hides from its driver. Tests of the driver's error reports then say that they left the check out. Absent:
   * every refused copy is an error of `memcpyWait`.
   */
  readonly hiddenFaults?: HiddenFaults;
  /** The device's registers by name, for `vfio-selftests repl`. No test uses them. */
  readonly registers?: readonly NamedRegisters[];
  /**
   * Brings the device up. `remove` brings it down. Both may be repeated. The driver switches on bus mastering, and enables
   * the interrupt vectors that it names (`device.interrupts.msix.enable`): nobody else does.
   */
  create(device: PciDevice, region: DmaRegion): DriverInstance;
}

/**
 * A driver at work on one device. `DriverSession` keeps the contract for it: arguments lie within `limits`, only
 * `memcpyEnded`, `memcpyWait` and `remove` come during a copy, and nothing comes after `remove`. So a driver checks
 * none of this again.
 */
export interface DriverInstance {
  /** What it can copy. Fixed once the driver is created. */
  readonly limits: DriverLimits;
  /** MSI or MSI-X vector that `sendMsi` raises. Undefined if the device cannot raise one. */
  readonly msiVector?: number;
  /** Starts `count` repeats of one copy between I/O virtual addresses and returns at once. The device raises no interrupt. */
  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void;
  /**
   * Whether the started copies have ended, by success or by error: `memcpyWait` then returns or throws at once. It
   * neither blocks nor throws for an error of the device.
   */
  memcpyEnded(): boolean;
  /**
   * Waits for the started copies. Errors are VfioError: tests take no other one for the driver's report. All DMA has ended when it returns or throws. If the device reported an error, it
   * throws VfioError with the device's error registers; the driver has recovered, and the next copy works. If the
   * copies do not end within `timeoutMs`, it throws `ETIMEDOUT` with the device's state. So a `timeoutMs` of 0 stops a
   * copy. A device without bus mastering does not end its copies: a model must honour the bit, too, because a test makes the
   * device hang by it.
   */
  memcpyWait(options?: { timeoutMs?: number }): void;
  /** How the device reports the end of a copy by an interrupt. Absent if it cannot. */
  readonly completion?: CompletionInterrupt;
  /** Makes the device raise `msiVector` exactly once. Absent if it cannot. */
  sendMsi?(): void;
  /** Stops the device and frees what `create` took. Idempotent, and allowed during a copy. */
  remove(): void;
}

/** Copies whose end the device reports by an interrupt. */
export interface CompletionInterrupt {
  /** MSI or MSI-X vector that the device raises. The driver has enabled it. It may be `msiVector`. */
  readonly vector: number;
  /**
   * Like `memcpyStart` for one copy. The device raises `vector` once `memcpyEnded` is true. An error may end the copy
   * without an interrupt.
   */
  start(source: bigint, destination: bigint, size: number): void;
}
