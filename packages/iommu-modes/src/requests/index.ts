/** The ioctls of VFIO and IOMMUFD, each encoded once, for whoever makes them himself (`@vfio-selftests/iommu-modes/requests`). */
export { encodeIoctl, type EncodedIoctl, type EncodedStruct, type StructIoctl } from "../kernel/ioctl";
export * as container from "./container";
export * as device from "./device";
export * as iommufd from "./iommufd";
