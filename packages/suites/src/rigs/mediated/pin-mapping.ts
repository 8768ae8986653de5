import type { DmaAccess } from "@vfio-selftests/core";
import {
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
} from "@vfio-selftests/core/uapi";
import type { KernelFile } from "@vfio-selftests/iommu-modes";
import { askKernel } from "../raw/ask-kernel";
import type { IommufdFile } from "../raw/iommufd-files";

const TYPE1_FLAGS: Readonly<Record<DmaAccess, number>> = {
  read: VFIO_DMA_MAP_FLAG_READ,
  write: VFIO_DMA_MAP_FLAG_WRITE,
  "read-write": VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
};
const IOMMUFD_FLAGS: Readonly<Record<DmaAccess, number>> = {
  read: IOMMU_IOAS_MAP_READABLE,
  write: IOMMU_IOAS_MAP_WRITEABLE,
  "read-write": IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
};

/** Memory of this process to map. */
export interface PinMapping {
  readonly iova: bigint;
  readonly vaddr: bigint;
  readonly length: number;
  readonly access?: DmaAccess;
}

/** Returns `ok` or the errno's name. */
export function mapInContainer(container: KernelFile, { access = "read-write", ...mapping }: PinMapping): string {
  const { iova, vaddr, length } = mapping;
  const values = { flags: TYPE1_FLAGS[access], vaddr, iova, size: length };
  return askKernel(container, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, values).code;
}

/** Returns `ok` or the errno's name. */
export function mapInIoas(
  iommufd: IommufdFile,
  ioas: number,
  { access = "read-write", ...mapping }: PinMapping,
): string {
  return iommufd.map({ ioas, flags: IOMMUFD_FLAGS[access], ...mapping }).code;
}
