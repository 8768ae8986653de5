/** The parts of an `IommuBackend` or a `VfioDevice` (`@vfio-selftests/core/backend`). */
export type { DmaMapping } from "../contracts/memory";
export type { MappedRegisters } from "../contracts/mapped-registers";
export type { KernelModeName } from "../contracts/mode-names";
export type { MapRegionOptions } from "../contracts/vfio-device";
export { DeviceBooks, type BookedRegion } from "./device-books";
export { tooFewVectors } from "./too-few-vectors";
export { IovaAllocator } from "../iommu/iova-allocator";
export { hugePageAlignment } from "../memory/huge-page-alignment";
export { IoMapping } from "../memory/io-mapping";
export { MappingRecord } from "../memory/mapping-record";
export { closeAll } from "../ownership/close-all";
export { OwnedHandles } from "../ownership/owned-handles";
export { OwnedDescriptor, type DescriptorCalls } from "../ownership/owned-descriptor";
export { type Awaited, FileReadiness, type FileReadinessOptions } from "../waits/file-readiness";
