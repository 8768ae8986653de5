import { systemError } from "@vfio-selftests/core/errors";
import {
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_UNMAP,
  iommu_ioas_alloc,
  iommu_ioas_copy,
  iommu_ioas_unmap,
} from "@vfio-selftests/core/uapi";
import { destroyObject, realCalls, type ObjectCalls } from "./object-calls";

export interface CopyMappingOptions {
  readonly sourceIoasId: number;
  /** An area inside one mapping of the source. */
  readonly sourceIova: bigint;
  /** Bytes. */
  readonly length: number;
  /** Where it goes. Absent: the kernel chooses. */
  readonly iova?: bigint;
}

/**
 * A further I/O address space (IOAS) of an iommufd, filled with mappings of another one: the pages stay pinned once.
 * The first one of an iommufd is the back end's.
 */
export class IoAddressSpace implements Disposable {
  #closed = false;

  static allocate(iommufd: number, calls: ObjectCalls = realCalls): IoAddressSpace {
    const view = iommu_ioas_alloc.allocate();
    iommu_ioas_alloc.fields.size.set(view, iommu_ioas_alloc.size);
    const result = calls.ioctl(iommufd, IOMMU_IOAS_ALLOC, view.bytes);
    if (result < 0) throw systemError(result, "IOMMU_IOAS_ALLOC", { subject: "/dev/iommu" });
    return new IoAddressSpace(iommufd, iommu_ioas_alloc.fields.out_ioas_id.get(view), calls);
  }

  private constructor(
    private readonly iommufd: number,
    readonly id: number,
    private readonly calls: ObjectCalls,
  ) {}

  /** IOMMU_IOAS_COPY, for reading and writing; gives the IOVA here. */
  copyMapping({ sourceIoasId, sourceIova, length, iova }: CopyMappingOptions): bigint {
    const { size, flags, dst_ioas_id, src_ioas_id, length: lengthField, dst_iova, src_iova } = iommu_ioas_copy.fields;
    const view = iommu_ioas_copy.allocate();
    size.set(view, iommu_ioas_copy.size);
    const access = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
    flags.set(view, iova === undefined ? access : access | IOMMU_IOAS_MAP_FIXED_IOVA);
    dst_ioas_id.set(view, this.id);
    src_ioas_id.set(view, sourceIoasId);
    lengthField.setNumber(view, length);
    dst_iova.set(view, iova ?? 0n);
    src_iova.set(view, sourceIova);
    const result = this.calls.ioctl(this.iommufd, IOMMU_IOAS_COPY, view.bytes);
    if (result < 0) {
      throw systemError(result, "IOMMU_IOAS_COPY", {
        subject: `IOAS ${sourceIoasId}, IOVA 0x${sourceIova.toString(16)} + ${length} to IOAS ${this.id}`,
      });
    }
    return dst_iova.get(view);
  }

  /** Unmaps what lies in the area; gives the bytes that the kernel unmapped. Throws ENOENT when there is nothing. */
  unmap(iova: bigint, length: bigint): bigint {
    const { size, ioas_id, iova: iovaField, length: lengthField } = iommu_ioas_unmap.fields;
    const view = iommu_ioas_unmap.allocate();
    size.set(view, iommu_ioas_unmap.size);
    ioas_id.set(view, this.id);
    iovaField.set(view, iova);
    lengthField.set(view, length);
    const result = this.calls.ioctl(this.iommufd, IOMMU_IOAS_UNMAP, view.bytes);
    if (result < 0) {
      throw systemError(result, "IOMMU_IOAS_UNMAP", {
        subject: `IOVA 0x${iova.toString(16)} + ${length}, IOAS ${this.id}`,
      });
    }
    return lengthField.get(view);
  }

  /** Unmaps everything and destroys it; idempotent once it succeeded. Throws EBUSY while a device is attached. */
  close(): void {
    if (this.#closed) return;
    destroyObject(this.calls, this.iommufd, this.id, "IOAS");
    this.#closed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
