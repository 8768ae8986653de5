/** What an implementation of `IommuBackend` or `VfioDevice` is built from (`@vfio-selftests/core/backend`). */
export type { DmaMapping } from "../contracts/memory";
export { IovaAllocator } from "../iommu/iova-allocator";
export { IoMapping } from "../memory/io-mapping";
export { MappingRecord } from "../memory/mapping-record";
