import { Errno } from "@vfio-selftests/core/errors";
import { IOMMU_VFIO_IOAS_GET } from "@vfio-selftests/core/uapi";
import { encodeIoctl } from "../kernel/ioctl";
import type { KernelFile } from "../kernel/kernel-file";
import { ioasCopy, vfioIoas } from "../requests/iommufd";
import { IoAddressSpace } from "./io-address-space";

/** The smallest page of any IOMMU that VFIO serves. */
const PROBE_BYTES = 4096;

/**
 * Whether an IOVA of an IOAS is mapped. iommufd has no such request, but IOMMU_IOAS_COPY of a page says ENOENT where
 * there is nothing to copy.
 */
export function isMappedInIoas(iommufd: KernelFile, ioas: number, iova: bigint): boolean {
  using scratch = IoAddressSpace.allocate(iommufd);
  const copy = { from: ioas, to: scratch.id, sourceIova: iova, length: PROBE_BYTES, access: "read" } as const;
  return iommufd.attempt(encodeIoctl(ioasCopy, copy)) !== -Errno.ENOENT;
}

/** The same for the IOAS that stands for a container; undefined where the file is no iommufd, or has none. */
export function isMappedInCompatibility(container: KernelFile, iova: bigint): boolean | undefined {
  const request = encodeIoctl(vfioIoas, IOMMU_VFIO_IOAS_GET, 0);
  if (container.attempt(request) < 0) return undefined;
  return isMappedInIoas(container, vfioIoas.answer(request.view), iova);
}
