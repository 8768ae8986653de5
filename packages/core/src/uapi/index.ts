/** The kernel's ABI as data: request numbers, flags, structure layouts (`@vfio-selftests/core/uapi`). */
export * from "./capability-chain";
export { decodeIrqInfo, decodeRegionInfo } from "./decode-info";
export * from "./iommufd-numbers";
export * from "./iommufd-structs";
export * from "./liveupdate-numbers";
export * from "./liveupdate-structs";
export * from "./mman";
export * from "./struct";
export * from "./vfio-ioctls";
export * from "./vfio-numbers";
export * from "./vfio-structs";
