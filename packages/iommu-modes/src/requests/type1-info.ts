import { type IovaRange, VfioError } from "@vfio-selftests/core";
import {
  infoCapabilities,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  vfio_iommu_type1_info,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  vfio_iommu_type1_info_cap_iova_range,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  vfio_iommu_type1_info_dma_avail,
  vfio_iova_range,
} from "@vfio-selftests/core/uapi";

/** The kernel's answer to VFIO_IOMMU_GET_INFO about a container. */
export interface Type1Info {
  /** Bit n: pages of 2^n bytes. */
  readonly pageSizes: bigint;
  readonly iovaRanges: readonly IovaRange[];
  /** How many mappings the container still takes; undefined when the kernel does not say. */
  readonly mappingsLeft: number | undefined;
}

/** Decodes the whole reply to VFIO_IOMMU_GET_INFO. */
export function decodeType1Info(reply: Uint8Array): Type1Info {
  const fields = vfio_iommu_type1_info.fields;
  const view = vfio_iommu_type1_info.copyOf(reply);
  const flags = fields.flags.get(view);
  let iovaRanges: readonly IovaRange[] = [];
  let mappingsLeft: number | undefined;
  const firstCapability = (flags & VFIO_IOMMU_INFO_CAPS) === 0 ? 0 : fields.cap_offset.get(view);
  for (const { id, offset } of infoCapabilities(reply, firstCapability, vfio_iommu_type1_info.size)) {
    if (id === VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
      iovaRanges = decodeRanges(reply, offset);
    } else if (id === VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
      const available = vfio_iommu_type1_info_dma_avail;
      mappingsLeft = available.fields.avail.get(available.copyOf(reply, offset));
    }
  }
  if (iovaRanges.length === 0) {
    throw new VfioError("the kernel tells no usable IOVA range", {
      code: "ERR_NO_IOVA_RANGE",
      operation: "VFIO_IOMMU_GET_INFO",
      remedy: "use a kernel from 5.4 on (capability IOVA_RANGE)",
    });
  }
  return {
    pageSizes: (flags & VFIO_IOMMU_INFO_PGSIZES) === 0 ? 0n : fields.iova_pgsizes.get(view),
    iovaRanges,
    mappingsLeft,
  };
}

function decodeRanges(reply: Uint8Array, offset: number): IovaRange[] {
  const head = vfio_iommu_type1_info_cap_iova_range;
  const count = head.fields.nr_iovas.get(head.copyOf(reply, offset));
  return Array.from({ length: count }, (_, number) => {
    const range = vfio_iova_range.copyOf(reply, offset + head.size + number * vfio_iova_range.size);
    return { start: vfio_iova_range.fields.start.get(range), last: vfio_iova_range.fields.end.get(range) };
  }).sort((left, right) => (left.start < right.start ? -1 : 1));
}
