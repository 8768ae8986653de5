export type { Availability } from "./contracts/availability";
export type { DmaAccess, IommuBackend, IommuMode, IovaRange, ModeTraits, OpenDeviceOptions } from "./contracts/iommu";
export type { MappableMemory, MemoryBacking } from "./contracts/memory";
export { DEFAULT_MODE, KERNEL_MODE_NAMES, USER_MODE_NAME } from "./contracts/mode-names";
export type { RegisterAccess } from "./contracts/register-access";
export type {
  DeviceInfo,
  HotResetDevice,
  HotResetInfo,
  IrqInfo,
  PayloadLink,
  RegionArea,
  RegionInfo,
  SetIrqs,
  VfioDevice,
} from "./contracts/vfio-device";

export type { VfioErrorCode } from "./errors/error-codes";
export { VfioError } from "./errors/vfio-error";

export { DmaMemory, type DmaMemoryOptions } from "./memory/dma-memory";

export type { DmaRegion } from "./iommu/dma-region";
export { Iommu, type MapOptions } from "./iommu/iommu";
export type { IovaRequest } from "./iommu/iova-allocator";
export type { IovaReservation } from "./iommu/iova-space";

export { Bar } from "./pci/bar/bar";
export type { BarType } from "./pci/bar/bar-types";
export type { PciCapability } from "./pci/config/capabilities";
export { ConfigSpace } from "./pci/config/config-space";
export { DeviceFeatures } from "./pci/features";
export { PciDevice } from "./pci/pci-device";
export { ExpansionRom } from "./pci/rom";

export { Eventfd } from "./interrupts/eventfd";
export { InterruptIndex, type InterruptKind } from "./interrupts/interrupt-index";
export { InterruptVector } from "./interrupts/interrupt-vector";
export { Interrupts } from "./interrupts/interrupts";
export type { AsyncWaitOptions, WaitOptions } from "./waits/time-out";
