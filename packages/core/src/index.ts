export type { Availability } from "./contracts/availability";
export type { DmaAccess, IommuBackend, IommuMode, IovaRange, OpenDeviceOptions } from "./contracts/iommu";
export type { MappableMemory, MemoryBacking } from "./contracts/memory";
export type { DeviceInfo, IrqInfo, RegionArea, RegionInfo, SetIrqs, VfioDevice } from "./contracts/vfio-device";

export { VfioError } from "./errors/vfio-error";

export { DmaMemory, type DmaMemoryOptions } from "./memory/dma-memory";

export { DmaRegion } from "./iommu/dma-region";
export { Iommu, type MapOptions } from "./iommu/iommu";
export type { IovaRequest } from "./iommu/iova-allocator";
export type { IovaReservation } from "./iommu/iova-space";

export { Bar, type BarType } from "./pci/bar";
export type { PciCapability } from "./pci/capabilities";
export { ConfigSpace } from "./pci/config-space";
export { DeviceFeatures } from "./pci/features";
export type { HotResetDevice, HotResetInfo } from "./pci/hot-reset";
export { PciDevice, type DeviceOpener } from "./pci/pci-device";
export type { RegisterAccess } from "./pci/register-access";
export { ExpansionRom } from "./pci/rom";

export { Eventfd, type AsyncWaitOptions, type WaitOptions } from "./interrupts/eventfd";
export { InterruptIndex, type InterruptKind } from "./interrupts/interrupt-index";
export { InterruptVector } from "./interrupts/interrupt-vector";
export { Interrupts } from "./interrupts/interrupts";
