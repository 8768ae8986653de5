/**
 * What a user can do about a failed kernel call, by operation and errno. The table has only causes that the user can
 * remove; a wrong argument explains itself. Where the remedy depends on the state of the machine (who holds the device,
 * how much memory may be locked), the caller finds that out and passes its own.
 */
const OPEN_DEVICE_NODE =
  "run as root, or give your user the device file (udev rule, or chown) and enough locked memory (ulimit -l)";
const KERNEL_VFIO_CONTAINER =
  "load it (sudo modprobe -a vfio vfio_iommu_type1 vfio-pci), or use a kernel with CONFIG_VFIO, CONFIG_VFIO_GROUP, " +
  "CONFIG_VFIO_CONTAINER and CONFIG_VFIO_IOMMU_TYPE1";
const KERNEL_IOMMUFD =
  "load it (sudo modprobe iommufd), or use a kernel with CONFIG_IOMMUFD; modes on /dev/vfio/vfio do without it";
const LOCKED_MEMORY =
  "raise the limit on locked memory (ulimit -l, memlock in /etc/security/limits.conf, or LimitMEMLOCK= of the service)";
const RESET_NEEDED = "enable memory space in the command register, or wait until the device is out of reset";

const MAP_MEMORY =
  "map memory that is mapped in this process and writable where the device may write; registers (BARs) can be mapped " +
  "for DMA in the modes vfio_type1_iommu and vfio_type1v2_iommu only";

type ByErrno = Readonly<Record<string, string>>;

const IOAS_MAP: ByErrno = {
  ENOMEM: LOCKED_MEMORY,
  EEXIST: "unmap what is there, or choose another IOVA",
  ENOSPC: "unmap something: no free IOVA is left in the allowed ranges",
  EFAULT: MAP_MEMORY,
  EADDRINUSE: "choose an IOVA outside the devices' reserved ranges (iovaRanges)",
};

/** Keys: an operation; for `open`, also the path. */
const REMEDIES: Readonly<Record<string, ByErrno>> = {
  "open /dev/vfio/vfio": { ENOENT: KERNEL_VFIO_CONTAINER, ENODEV: KERNEL_VFIO_CONTAINER },
  "open /dev/iommu": { ENOENT: KERNEL_IOMMUFD, ENODEV: KERNEL_IOMMUFD },
  open: {
    EACCES: OPEN_DEVICE_NODE,
    EPERM: OPEN_DEVICE_NODE,
    EBUSY: "close the other user of the device; a group can be open once, and either by group or by device file",
    ENOENT: "bind the device to vfio-pci: vfio-selftests bind BDF",
    EMFILE: "raise the limit on open files (ulimit -n)",
  },
  VFIO_SET_IOMMU: {
    EPERM:
      "turn on interrupt remapping (firmware set-up; in QEMU intel-iommu,intremap=on), or accept the risk: " +
      "echo Y > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
    ENODEV: "give the device an IOMMU: switch it on in the firmware and boot with intel_iommu=on or amd_iommu=on",
  },
  VFIO_GROUP_SET_CONTAINER: {
    EPERM: "bind every device of the group to vfio-pci or to no driver: vfio-selftests bind BDF…",
    EINVAL: "open the group in one address space only",
    EBADFD: "use a container of this kernel: /dev/vfio/vfio or /dev/iommu",
  },
  VFIO_GROUP_GET_DEVICE_FD: {
    ENODEV: "bind the device to vfio-pci: vfio-selftests bind BDF",
    EACCES: "give the VF token of the physical function (vfToken)",
    EPERM: "turn on interrupt remapping, or bind every device of the group to vfio-pci or to no driver",
    EBUSY: "close the other user of the device; it can be in use either by group or by device file",
  },
  VFIO_DEVICE_BIND_IOMMUFD: {
    EACCES: "give the VF token of the physical function (vfToken)",
    EPERM:
      "turn on interrupt remapping (or set the parameter allow_unsafe_interrupts of iommufd), and bind every device of " +
      "the group to vfio-pci or to no driver",
    EBUSY: "close the other user of the device or of its group",
    ENOTTY: "use a kernel with CONFIG_VFIO_DEVICE_CDEV (6.6 or newer)",
  },
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: {
    EADDRINUSE: "unmap what lies in the device's reserved ranges first, or open the device before mapping",
    EPERM:
      "turn on interrupt remapping, or accept the risk: echo Y > /sys/module/iommufd/parameters/allow_unsafe_interrupts",
    EINVAL: "attach every device of the group to the same address space",
  },
  VFIO_IOMMU_MAP_DMA: {
    ENOMEM: LOCKED_MEMORY,
    ENOSPC: "unmap something: the limit of mappings per container is the parameter dma_entry_limit of vfio_iommu_type1",
    EEXIST: "unmap what is there, or choose another IOVA",
    ENODEV: "open a device first: the container has no IOMMU before",
    EFAULT: MAP_MEMORY,
  },
  VFIO_IOMMU_GET_INFO: {
    EINVAL: "open a device first: the container has no IOMMU before",
    ENODEV: "open a device first: the container has no IOMMU before",
  },
  IOMMU_IOAS_MAP: IOAS_MAP,
  IOMMU_IOAS_MAP_FILE: { ...IOAS_MAP, ENOTTY: "use a kernel from 6.13 on, or map by address" },
  mmap: { ENOMEM: "free memory, or raise the limits (ulimit -v, vm.max_map_count)", EPERM: LOCKED_MEMORY },
  "MMIO access": { EFAULT: RESET_NEEDED },
  pread: { EIO: RESET_NEEDED },
  pwrite: { EIO: RESET_NEEDED },
  VFIO_DEVICE_RESET: {
    EAGAIN: "try again: another reset of the device's slot or bus is under way",
    ENOTTY: "use a device with function-level reset; this one cannot be reset alone",
  },
  VFIO_DEVICE_FEATURE: { ENOTTY: "probe the feature first: this kernel or device does not have it" },
  VFIO_DEVICE_SET_IRQS: {
    ENOSPC:
      "close other devices that hold interrupt vectors: the machine has no vector or interrupt-remapping entry left",
  },
};

/** What lets this process write to a file of `/sys` or `/proc`, by the errno that the write gave. */
export function writeRemedy(code: string): string | undefined {
  if (code === "EACCES" || code === "EPERM") return "run as root";
  return code === "EROFS"
    ? "make /sys writable (mount -o remount,rw /sys); a container needs the right to that"
    : undefined;
}

/** The remedy for `errno` (its name) of `operation` on `subject`, if one is known. */
export function remedyFor(operation: string, code: string, subject?: string): string | undefined {
  return REMEDIES[`${operation} ${subject ?? ""}`]?.[code] ?? REMEDIES[operation]?.[code];
}
