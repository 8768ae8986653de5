import type { Iommu } from "@vfio-selftests/core";
import { rawSpaceOf } from "@vfio-selftests/iommu-modes";
import type { RacerCall } from "./racer";

interface MapArea {
  /** The memory's address in this process. */
  readonly address: bigint;
  readonly iova: bigint;
  /** Bytes. */
  readonly length: number;
}

/** The mode's own request to map, for another thread, without the bookkeeping of {@link Iommu}. */
export function mapCall(iommu: Iommu, { address, iova, length }: MapArea): RacerCall {
  const space = rawSpaceOf(iommu);
  return { file: space.file, ...space.mapRequest(address, iova, length, "read-write") };
}

/** The mode's own request to unmap. */
export function unmapCall(iommu: Iommu, { iova, length }: Omit<MapArea, "address">): RacerCall {
  const space = rawSpaceOf(iommu);
  return { file: space.file, ...space.unmapRequest(iova, BigInt(length)) };
}
