export { AutoMode, type AutoChoice } from "./auto-mode";
export { ContainerBackend } from "./container-backend";
export { IommufdBackend } from "./iommufd-backend";
export { allocateIoas } from "./ioas";
export { attachDevice, bindDevice, detachDevice } from "./iommufd-device";
export * from "./iommufd-objects";
export { KernelDevice } from "./kernel-device";
export { encodeSetIrqs } from "./irq-set";
export { ioctl, realKernel, type KernelCalls, type KernelEnvironment } from "./kernel-calls";
export {
  createAutoMode,
  createModes,
  DEFAULT_MODE,
  findMode,
  IOMMU_MODE_NAMES,
  iommuModes,
  mapFileMode,
  autoMode,
  openIommu,
} from "./modes";
export type { IommuModeName } from "./mode-table";
export { vfTokenBytes } from "./vf-token";
