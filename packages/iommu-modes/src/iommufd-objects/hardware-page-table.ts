import { systemError } from "@vfio-selftests/core/errors";
import { IOMMU_HWPT_ALLOC, IOMMU_HWPT_FAULT_ID_VALID, iommu_hwpt_alloc } from "@vfio-selftests/core/uapi";
import type { FaultQueue } from "./fault-queue";
import { destroyObject, realCalls, type ObjectCalls } from "./object-calls";

export interface HardwarePageTableOptions {
  /** iommufd's id of the device whose IOMMU the table is for. */
  readonly deviceId: number;
  /** The IOAS whose mappings it holds. */
  readonly ioasId: number;
  /** Takes the page requests of the devices attached to it. */
  readonly faultQueue?: Pick<FaultQueue, "id">;
}

/** A page table of the IOMMU (HWPT) as an object of its own, to be attached to by its id. Detach devices before `close`. */
export class HardwarePageTable implements Disposable {
  #closed = false;

  static allocate(
    iommufd: number,
    { deviceId, ioasId, faultQueue }: HardwarePageTableOptions,
    calls: ObjectCalls = realCalls,
  ): HardwarePageTable {
    const { size, flags, dev_id, pt_id, fault_id, out_hwpt_id } = iommu_hwpt_alloc.fields;
    const view = iommu_hwpt_alloc.allocate();
    size.set(view, iommu_hwpt_alloc.size);
    dev_id.set(view, deviceId);
    pt_id.set(view, ioasId);
    if (faultQueue !== undefined) {
      flags.set(view, IOMMU_HWPT_FAULT_ID_VALID);
      fault_id.set(view, faultQueue.id);
    }
    const result = calls.ioctl(iommufd, IOMMU_HWPT_ALLOC, view.bytes);
    if (result < 0) throw systemError(result, "IOMMU_HWPT_ALLOC", { subject: `device ${deviceId}, IOAS ${ioasId}` });
    return new HardwarePageTable(iommufd, out_hwpt_id.get(view), calls);
  }

  private constructor(
    private readonly iommufd: number,
    readonly id: number,
    private readonly calls: ObjectCalls,
  ) {}

  /** Destroys it; idempotent once it succeeded. Throws EBUSY while a device is attached. */
  close(): void {
    if (this.#closed) return;
    destroyObject(this.calls, this.iommufd, this.id, "page table");
    this.#closed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
