/** The five modes on a kernel, in upstream's spelling, in the order of upstream's fixtures. */
export const KERNEL_MODE_NAMES = [
  "vfio_type1_iommu",
  "vfio_type1v2_iommu",
  "iommufd_compat_type1",
  "iommufd_compat_type1v2",
  "iommufd",
] as const;

/** The name of a mode that the kernel has. */
export type KernelModeName = (typeof KERNEL_MODE_NAMES)[number];

/** The mode of devices in user space. */
export const USER_MODE_NAME = "vfio-user";

/** Upstream's default. */
export const DEFAULT_MODE: KernelModeName = "iommufd";
