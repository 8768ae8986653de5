import { IOMMU_IOAS_ALLOC, iommu_ioas_alloc } from "@vfio-selftests/core/uapi";
import { ioctl, type KernelEnvironment } from "./kernel-calls";

/** A new I/O address space object of an iommufd; gives its id. */
export function allocateIoas(kernel: KernelEnvironment, iommufd: number): number {
  const view = iommu_ioas_alloc.allocate();
  iommu_ioas_alloc.fields.size.set(view, iommu_ioas_alloc.size);
  ioctl(kernel, iommufd, { IOMMU_IOAS_ALLOC }, "/dev/iommu", view.bytes);
  return iommu_ioas_alloc.fields.out_ioas_id.get(view);
}
