import type { Availability } from "./availability";
import type { MappableMemory } from "./memory";
import type { VfioDevice } from "./vfio-device";

/** Usable I/O virtual addresses, both ends inclusive. */
export interface IovaRange {
  /** The first address. */
  readonly start: bigint;
  /** The last address: still usable. */
  readonly last: bigint;
}

/** What the device may do with mapped memory. */
export type DmaAccess = "read" | "write" | "read-write";

/** How to open a device. */
export interface OpenDeviceOptions {
  /** UUID that opens a VF whose PF is in user space (VFIO's vf_token). */
  readonly vfToken?: string;
}

/**
 * The operations of one I/O address space, from a back end. A back end keeps no books. Every failure is a VfioError
 * with the kernel's errno. `Iommu` (iommu.ts) adds the bookkeeping once for all of them.
 */
export interface IommuBackend {
  /** Name of the mode, in upstream's spelling. */
  readonly mode: string;
  /** Whether the caller may leave `iova` to the kernel. */
  readonly choosesIova: boolean;
  /**
   * Opens the device at a PCI address (`0000:6a:01.0`) or `vfio-user:PATH` into this address space. The caller closes
   * it.
   */
  openDevice(address: string, options: OpenDeviceOptions): VfioDevice;
  /** Maps `length` bytes of `memory` from `offset`. Returns the IOVA. `iova` undefined: the kernel chooses. */
  map(memory: MappableMemory, offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint;
  /** Returns how many bytes the kernel says it unmapped. */
  unmap(iova: bigint, length: bigint): bigint;
  /** Unmaps everything. Returns how many bytes the kernel says it unmapped. */
  unmapAll(): bigint;
  /** Sorted, disjoint, not empty. */
  iovaRanges(): readonly IovaRange[];
  /** Bit n set: the IOMMU supports pages of 2^n bytes. */
  pageSizes(): bigint;
  /**
   * Whether an IOVA is mapped at the other end. `Iommu` asks after a failed unmap, which may have taken a part of the
   * area. Absent where a failed unmap takes nothing.
   */
  isMapped?(iova: bigint): boolean;
  /** Gives the address space back. `Iommu` closes the devices first. */
  close(): void;
}

/** How a mode differs from the others, so that nobody guesses from its name. */
export interface ModeTraits {
  /** Groups in a container; iommufd with device files; or a protocol in user space, without the kernel's IOMMU. */
  readonly api: "container" | "iommufd" | "user";
  /** For modes with a container: its path under /dev and the version of its IOMMU type (type 1, type 1 v2). */
  readonly container?: { readonly path: readonly string[]; readonly type: 1 | 2 };
  /** Device registers (a BAR) can be mapped for DMA. */
  readonly mapsRegisters: boolean;
  /**
   * An unmap may cut through a mapping, or take it whole where it cuts. Otherwise it is refused. Rules out large IOMMU
   * pages.
   */
  readonly splitsMappings: boolean;
  /** The kernel chooses IOVAs when asked to. */
  readonly choosesIova: boolean;
}

/** One of the ways to an I/O address space. */
export interface IommuMode {
  /** Its name, in upstream's spelling: `vfio_type1v2_iommu`. */
  readonly name: string;
  /** One line for people: what it is. */
  readonly description: string;
  /** In what it differs from the other modes. */
  readonly traits: ModeTraits;
  /** Probes at each call, without side effects. Never throws. */
  availability(): Availability;
  /** The mode that `open` opens: itself, or the choice of `auto`. Throws ERR_NO_MODE where there is none. */
  resolve(): IommuMode;
  /** Opens a new, empty address space. Throws VfioError where the mode is not available. */
  open(): IommuBackend;
}
