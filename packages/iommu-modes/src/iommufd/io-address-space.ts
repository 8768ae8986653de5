import type { DmaAccess, IovaRange } from "@vfio-selftests/core";
import { Errno, systemError } from "@vfio-selftests/core/errors";
import { iommu_iova_range } from "@vfio-selftests/core/uapi";
import { encodeIoctl } from "../kernel/ioctl";
import type { KernelFile } from "../kernel/kernel-file";
import { ioasAlloc, ioasCopy, ioasIovaRanges, ioasNoiommuGetPa, ioasUnmap } from "../requests/iommufd";
import { IommufdObject } from "./iommufd-object";

/** What IOMMU_IOAS_COPY takes (include/uapi/linux/iommufd.h). */
export interface CopyMappingOptions {
  /** An area inside one mapping of the source. */
  readonly sourceIova: bigint;
  /** Bytes. */
  readonly length: number;
  /** The IOVA in the destination. Absent: the kernel chooses. */
  readonly iova?: bigint;
  /** What devices may do with it here, at most what they may do there. Default `read-write`. */
  readonly access?: DmaAccess;
}

/** Memory that is contiguous for the CPU's bus, and for a device without an IOMMU. */
export interface PhysicalRange {
  /** Physical address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/**
 * An I/O address space (IOAS) of an iommufd. An `Iommu` has one. Further ones take mappings of another, whose pages
 * stay pinned only once.
 */
export class IoAddressSpace extends IommufdObject {
  /** IOMMU_IOAS_ALLOC: a new, empty one. */
  static allocate(iommufd: KernelFile): IoAddressSpace {
    return new IoAddressSpace(iommufd, iommufd.ask(ioasAlloc, iommufd.name));
  }

  private constructor(iommufd: KernelFile, id: number) {
    super(iommufd, id, "IOAS");
  }

  /** IOMMU_IOAS_COPY from another address space of the same iommufd. Returns the IOVA here. */
  copyMapping(source: IoAddressSpace, { sourceIova, length, iova, access = "read-write" }: CopyMappingOptions): bigint {
    this.requireOpen("copyMapping");
    const subject = `${source.name}, IOVA 0x${sourceIova.toString(16)} + ${length} to ${this.name}`;
    return this.iommufd.ask(ioasCopy, subject, {
      from: source.idIn(this.iommufd),
      to: this.id,
      sourceIova,
      length,
      iova,
      access,
    });
  }

  /** Unmaps what lies in the area. Returns the bytes that the kernel unmapped. Throws ENOENT when the area is empty. */
  unmap(iova: bigint, length: bigint): bigint {
    this.requireOpen("unmap");
    return this.iommufd.ask(ioasUnmap, `IOVA 0x${iova.toString(16)} + ${length}, ${this.name}`, this.id, iova, length);
  }

  /**
   * IOMMU_IOAS_NOIOMMU_GET_PA: where the memory mapped at `iova` is, for a device without an IOMMU, which reaches memory by
   * physical addresses only. The pages are pinned as long as they are mapped. Gives the contiguous part, `length` bytes at
   * most (default: one page). Throws ENOENT where nothing is mapped, EOPNOTSUPP unless a device without an IOMMU is
   * attached, EPERM without CAP_SYS_RAWIO, EINVAL for 0 bytes, and ENOTTY on a kernel before 7.3 or without
   * CONFIG_IOMMUFD_NOIOMMU.
   */
  physicalRange(iova: bigint, length = BigInt(this.iommufd.kernel.calls.pageSize())): PhysicalRange {
    this.requireOpen("physicalRange");
    const subject = `IOVA 0x${iova.toString(16)} + ${length}, ${this.name}`;
    return this.iommufd.ask(ioasNoiommuGetPa, subject, this.id, iova, length);
  }

  /** Usable IOVAs of the attached devices: sorted, disjoint. */
  iovaRanges(): readonly IovaRange[] {
    this.requireOpen("iovaRanges");
    // The loop is for devices attached between two calls, which add ranges. EMSGSIZE tells how many there are.
    let into = new Uint8Array(iommu_iova_range.size);
    for (let attempts = 0; ; attempts++) {
      const request = encodeIoctl(ioasIovaRanges, this.id, into);
      const result = this.iommufd.attempt(request);
      const count = ioasIovaRanges.answer(request.view);
      if (result === -Errno.EMSGSIZE && attempts < 8) {
        into = new Uint8Array(count * iommu_iova_range.size);
        continue;
      }
      if (result < 0) throw systemError(result, request.name, { subject: this.name });
      return decodeRanges(into, count);
    }
  }
}

function decodeRanges(bytes: Uint8Array, count: number): IovaRange[] {
  const { fields, size } = iommu_iova_range;
  return Array.from({ length: count }, (_, number) => {
    const range = iommu_iova_range.copyOf(bytes, number * size);
    return { start: fields.start.get(range), last: fields.last.get(range) };
  });
}
