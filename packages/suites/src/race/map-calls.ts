import type { Iommu } from "@vfio-selftests/core";
import {
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_UNMAP,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  iommu_ioas_map,
  iommu_ioas_unmap,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
} from "@vfio-selftests/core/uapi";
import type { RacerCall } from "./racer";

interface MapArea {
  /** In this process. */
  readonly address: bigint;
  readonly iova: bigint;
  /** Bytes. */
  readonly length: number;
}

/** The mode's own request to map, for another thread, past the bookkeeping of {@link Iommu}. */
export function mapCall({ backend }: Iommu, { address, iova, length }: MapArea): RacerCall {
  const fd = backend.fd ?? -1;
  if (backend.ioasId === undefined) {
    const { argsz, flags, vaddr, iova: iovaField, size } = vfio_iommu_type1_dma_map.fields;
    const view = vfio_iommu_type1_dma_map.allocate();
    argsz.set(view, vfio_iommu_type1_dma_map.size);
    flags.set(view, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
    vaddr.set(view, address);
    iovaField.set(view, iova);
    size.setNumber(view, length);
    return { fd, request: VFIO_IOMMU_MAP_DMA, argument: view.bytes };
  }
  const { size, flags, ioas_id, user_va, iova: iovaField, length: lengthField } = iommu_ioas_map.fields;
  const view = iommu_ioas_map.allocate();
  size.set(view, iommu_ioas_map.size);
  flags.set(view, IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE);
  ioas_id.set(view, backend.ioasId);
  user_va.set(view, address);
  iovaField.set(view, iova);
  lengthField.setNumber(view, length);
  return { fd, request: IOMMU_IOAS_MAP, argument: view.bytes };
}

/** The mode's own request to unmap. */
export function unmapCall({ backend }: Iommu, { iova, length }: Omit<MapArea, "address">): RacerCall {
  const fd = backend.fd ?? -1;
  if (backend.ioasId === undefined) {
    const { argsz, iova: iovaField, size } = vfio_iommu_type1_dma_unmap.fields;
    const view = vfio_iommu_type1_dma_unmap.allocate();
    argsz.set(view, vfio_iommu_type1_dma_unmap.size);
    iovaField.set(view, iova);
    size.setNumber(view, length);
    return { fd, request: VFIO_IOMMU_UNMAP_DMA, argument: view.bytes };
  }
  const { size, ioas_id, iova: iovaField, length: lengthField } = iommu_ioas_unmap.fields;
  const view = iommu_ioas_unmap.allocate();
  size.set(view, iommu_ioas_unmap.size);
  ioas_id.set(view, backend.ioasId);
  iovaField.set(view, iova);
  lengthField.setNumber(view, length);
  return { fd, request: IOMMU_IOAS_UNMAP, argument: view.bytes };
}
