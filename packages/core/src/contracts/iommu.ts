import type { Availability } from "./availability";
import type { MappableMemory } from "./memory";
import type { VfioDevice } from "./vfio-device";

/** Usable I/O virtual addresses, both ends inclusive. */
export interface IovaRange {
  readonly start: bigint;
  readonly last: bigint;
}

/** What the device may do with mapped memory. */
export type DmaAccess = "read" | "write" | "read-write";

export interface OpenDeviceOptions {
  /** UUID that opens a VF whose PF is in user space (VFIO's vf_token). */
  readonly vfToken?: string;
}

/**
 * The operations of one I/O address space, as a back end provides them: no bookkeeping, every failure a VfioError with
 * the kernel's errno. `Iommu` (iommu.ts) adds the bookkeeping once for all of them.
 */
export interface IommuBackend {
  /** Name of the mode, as upstream spells it. */
  readonly mode: string;
  /** Whether `iova` may be left to the kernel. */
  readonly choosesIova: boolean;
  openDevice(address: string, options: OpenDeviceOptions): VfioDevice;
  /** Maps `length` bytes of `memory` from `offset`; gives the IOVA. `iova` undefined: the kernel chooses. */
  map(memory: MappableMemory, offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint;
  /** Gives the bytes the kernel says it unmapped. */
  unmap(iova: bigint, length: bigint): bigint;
  unmapAll(): bigint;
  /** Sorted, disjoint, not empty. */
  iovaRanges(): readonly IovaRange[];
  /** Bit n set: pages of 2^n bytes are supported by the IOMMU. */
  pageSizes(): bigint;
  /** The descriptor of the container or iommufd, for what this interface does not offer; undefined for vfio-user. */
  readonly fd?: number;
  /** iommufd's IOAS id; only in mode `iommufd`. */
  readonly ioasId?: number;
  close(): void;
}

/** One of the ways to an I/O address space. */
export interface IommuMode {
  readonly name: string;
  /** One line for people: what it is. */
  readonly description: string;
  /** Probed at each call, without side effects; never throws. */
  availability(): Availability;
  open(): IommuBackend;
}
