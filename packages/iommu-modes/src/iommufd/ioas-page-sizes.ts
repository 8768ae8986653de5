import { Errno, systemError } from "@vfio-selftests/core/errors";
import { IOMMU_VFIO_IOAS_CLEAR, IOMMU_VFIO_IOAS_GET, IOMMU_VFIO_IOAS_SET } from "@vfio-selftests/core/uapi";
import { encodeIoctl } from "../kernel/ioctl";
import type { KernelFile } from "../kernel/kernel-file";
import { type1Info } from "../requests/container";
import { vfioIoas } from "../requests/iommufd";
import type { IoAddressSpace } from "./io-address-space";

/**
 * Page sizes of an IOAS. iommufd has no request for them, but its VFIO compatibility answers VFIO_IOMMU_GET_INFO for
 * the IOAS that IOMMU_VFIO_IOAS names. The function restores that name afterwards.
 */
export function ioasPageSizes(iommufd: KernelFile, ioas: IoAddressSpace): bigint {
  const before = compatibilityIoas(iommufd);
  iommufd.ask(vfioIoas, ioas.name, IOMMU_VFIO_IOAS_SET, ioas.id);
  try {
    return iommufd.askForChain(type1Info, ioas.name).pageSizes;
  } finally {
    const operation = before === undefined ? IOMMU_VFIO_IOAS_CLEAR : IOMMU_VFIO_IOAS_SET;
    iommufd.ask(vfioIoas, ioas.name, operation, before ?? 0);
  }
}

/** The id of the IOAS that now stands for a VFIO container; undefined if none does. */
function compatibilityIoas(iommufd: KernelFile): number | undefined {
  const request = encodeIoctl(vfioIoas, IOMMU_VFIO_IOAS_GET, 0);
  const result = iommufd.attempt(request);
  if (result === -Errno.ENODEV) return undefined;
  if (result < 0) throw systemError(result, request.name, { subject: iommufd.name });
  return vfioIoas.answer(request.view);
}
