export * from "./contracts/availability";
export * from "./contracts/iommu";
export * from "./contracts/memory";
export * from "./contracts/vfio-device";

export * from "./errno";
export * from "./errors";
export { remedyFor } from "./remedies";

export * from "./uapi/capability-chain";
export { decodeIrqInfo, decodeRegionInfo } from "./uapi/decode-info";
export * from "./uapi/iommufd-numbers";
export * from "./uapi/iommufd-structs";
export * from "./uapi/mman";
export * from "./uapi/struct";
export * from "./uapi/vfio-ioctls";
export * from "./uapi/vfio-numbers";
export * from "./uapi/vfio-structs";

export { FileReadiness, type FileReadinessOptions } from "./waits/file-readiness";
export { BoundedWait, pollUntil, type BoundedWaitOptions, type PollOptions } from "./waits/poll-until";
export { sleepSync } from "./waits/sleep-sync";
export { DEFAULT_WAIT_MS, waitLimit, type AsyncWaitOptions, type WaitOptions } from "./waits/time-out";

export { DmaMemory, type DmaMemoryOptions } from "./memory/dma-memory";
export { IoMapping } from "./memory/io-mapping";
export { MappingRecord } from "./memory/mapping-record";

export { DmaRegion } from "./iommu/dma-region";
export { Iommu, type MapOptions } from "./iommu/iommu";
export { IovaAllocator, type IovaRequest } from "./iommu/iova-allocator";
export type { IovaReservation } from "./iommu/iova-space";

export * from "./sysfs/huge-pages";
export * from "./sysfs/system-paths";

export { Bar, type BarType } from "./pci/bar";
export type { CapabilityWalk, ConfigReader, PciCapability } from "./pci/capabilities";
export { walkCapabilities, walkExtendedCapabilities } from "./pci/capabilities";
export { ConfigSpace } from "./pci/config-space";
export { DeviceFeatures } from "./pci/features";
export type { HotResetDevice, HotResetInfo } from "./pci/hot-reset";
export { PciDevice, type DeviceOpener } from "./pci/pci-device";
export type { RegisterAccess } from "./pci/register-access";
export * from "./pci/registers";
export { ExpansionRom } from "./pci/rom";

export { Eventfd } from "./interrupts/eventfd";
export { InterruptIndex, MAX_VECTORS, type InterruptKind } from "./interrupts/interrupt-index";
export { InterruptVector } from "./interrupts/interrupt-vector";
export { Interrupts } from "./interrupts/interrupts";

export { DRIVER_KEYWORD, discoverDrivers, loadDriver } from "./driver/discover-drivers";
export * from "./driver/driver";
export { DriverRegistry, type DriverVerdict, type RegisteredDriver } from "./driver/driver-registry";
export { DriverSession, type DriverSessionOptions } from "./driver/driver-session";
export { memcpyChunks, type MemcpyChunk } from "./driver/memcpy-chunks";
export { storesWhole64Bytes } from "./driver/processor";
export { loadProjectConfig, type LoadedProjectConfig, type ProjectConfig } from "./driver/project-config";
export { driverOfModule, validateDriver } from "./driver/validate-driver";
export * from "./sysfs/file-holders";
export * from "./sysfs/iommu-groups";
export * from "./sysfs/pci-address";
export * from "./sysfs/pci-devices";
export * from "./sysfs/sriov";
export * from "./sysfs/vfio-cdev";
export * from "./sysfs/vfio-driver";
export * from "./sysfs/vfio-users";
export * from "./sysfs/binding-store";
export * from "./sysfs/device-use";
export * from "./sysfs/driver-binding";
