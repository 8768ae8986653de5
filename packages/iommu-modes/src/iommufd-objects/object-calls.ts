import { systemError } from "@vfio-selftests/core/errors";
import { IOMMU_DESTROY, iommu_destroy } from "@vfio-selftests/core/uapi";
import { native, type NativeBinding } from "@vfio-selftests/native";

/** The system calls that iommufd's objects need. A test puts its own in their place. */
export type ObjectCalls = Pick<NativeBinding, "ioctl" | "close" | "read" | "write" | "pollBlocking">;

export const realCalls: ObjectCalls = native;

/** IOMMU_DESTROY. Throws EBUSY while something uses the object. */
export function destroyObject(calls: ObjectCalls, iommufd: number, id: number, what: string): void {
  const { size, id: idField } = iommu_destroy.fields;
  const view = iommu_destroy.allocate();
  size.set(view, iommu_destroy.size);
  idField.set(view, id);
  const result = calls.ioctl(iommufd, IOMMU_DESTROY, view.bytes);
  if (result < 0) {
    throw systemError(result, "IOMMU_DESTROY", {
      subject: `${what} ${id}`,
      remedy:
        "close what uses it first: devices before page tables, page tables before fault queues and address spaces",
    });
  }
}
