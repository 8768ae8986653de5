export { KernelDevice } from "./device/kernel-device";
export { FaultQueue, decodePageRequests, type PageAnswer, type PageRequest } from "./iommufd/fault-queue";
export { HardwarePageTable, type HardwarePageTableOptions } from "./iommufd/hardware-page-table";
export { IoAddressSpace, type CopyMappingOptions, type PhysicalRange } from "./iommufd/io-address-space";
export type { Iommufd } from "./iommufd/iommufd";
export type { IommufdDevice } from "./iommufd/iommufd-device";
export { realKernel, type KernelCalls, type KernelEnvironment } from "./kernel/kernel-calls";
export { KernelFile, type KernelFileAccess } from "./kernel/kernel-file";
export { LiveUpdate } from "./liveupdate/live-update";
export { LiveUpdateSession } from "./liveupdate/live-update-session";
export type { LentSpace, RawSpace } from "./kernel/raw-space";
export { vfTokenBytes } from "./kernel/vf-token";
export { AutoMode, type AutoChoice } from "./modes/auto-mode";
export { deviceFileOf, iommufdDeviceOf, iommufdOf, rawSpaceOf } from "./modes/doors";
export { lendSpace, openLentSpace, type BorrowedSpace, type SpaceLoan } from "./modes/lent-space";
export {
  createAutoMode,
  createModes,
  findMode,
  IOMMU_MODE_NAMES,
  iommuModes,
  mapFileMode,
  autoMode,
  openIommu,
} from "./modes/modes";
