import { Errno, systemError } from "@vfio-selftests/core/errors";
import {
  IOMMU_VFIO_IOAS,
  IOMMU_VFIO_IOAS_CLEAR,
  IOMMU_VFIO_IOAS_GET,
  IOMMU_VFIO_IOAS_SET,
  iommu_vfio_ioas,
} from "@vfio-selftests/core/uapi";
import type { KernelEnvironment } from "./kernel-calls";
import { readType1Info } from "./type1-info";

const fields = iommu_vfio_ioas.fields;

/**
 * Page sizes of an IOAS. iommufd has no request for them, but its VFIO compatibility answers VFIO_IOMMU_GET_INFO for the
 * IOAS that IOMMU_VFIO_IOAS names; that is put back afterwards.
 */
export function ioasPageSizes(kernel: KernelEnvironment, iommufd: number, ioasId: number): bigint {
  const before = compatibilityIoas(kernel, iommufd);
  request(kernel, iommufd, IOMMU_VFIO_IOAS_SET, ioasId);
  try {
    return readType1Info(kernel, iommufd, `IOAS ${ioasId}`).pageSizes;
  } finally {
    if (before === undefined) request(kernel, iommufd, IOMMU_VFIO_IOAS_CLEAR);
    else request(kernel, iommufd, IOMMU_VFIO_IOAS_SET, before);
  }
}

/** The IOAS that stands for a VFIO container at present; undefined when there is none. */
function compatibilityIoas(kernel: KernelEnvironment, iommufd: number): number | undefined {
  const view = iommu_vfio_ioas.allocate();
  fields.size.set(view, iommu_vfio_ioas.size);
  fields.op.set(view, IOMMU_VFIO_IOAS_GET);
  const result = kernel.calls.ioctl(iommufd, IOMMU_VFIO_IOAS, view.bytes);
  if (result === -Errno.ENODEV) return undefined;
  if (result < 0) throw systemError(result, "IOMMU_VFIO_IOAS");
  return fields.ioas_id.get(view);
}

function request(kernel: KernelEnvironment, iommufd: number, operation: number, ioasId = 0): void {
  const view = iommu_vfio_ioas.allocate();
  fields.size.set(view, iommu_vfio_ioas.size);
  fields.op.set(view, operation);
  fields.ioas_id.set(view, ioasId);
  const result = kernel.calls.ioctl(iommufd, IOMMU_VFIO_IOAS, view.bytes);
  if (result < 0) throw systemError(result, "IOMMU_VFIO_IOAS");
}
