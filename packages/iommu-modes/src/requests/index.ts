/**
 * The ioctls of VFIO, IOMMUFD and the Live Update Orchestrator, each encoded once, for code that makes them itself
 * (`@vfio-selftests/iommu-modes/requests`).
 */
export { encodeIoctl, type EncodedIoctl, type EncodedStruct, type StructIoctl } from "../kernel/ioctl";
export * as container from "./container";
export * as device from "./device";
export * as iommufd from "./iommufd";
export * as liveupdate from "./liveupdate";
