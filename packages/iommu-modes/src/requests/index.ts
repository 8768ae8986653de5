/**
 * The ioctls of VFIO and IOMMUFD, each encoded once, for code that makes them itself
 * (`@vfio-selftests/iommu-modes/requests`).
 */
export { encodeIoctl, type EncodedIoctl, type EncodedStruct, type StructIoctl } from "../kernel/ioctl";
export * as container from "./container";
export * as device from "./device";
export * as iommufd from "./iommufd";
