import { VfioError } from "../errors/vfio-error";
import { normalizePciAddress } from "./pci-address";
import { requirePciDevice } from "./pci-devices";
import { listDirectory, type SystemPaths, systemPaths } from "./system-paths";
import { vfioDriverRemedy } from "./vfio-driver";

/**
 * Path of the character device of a device without an IOMMU, `/dev/vfio/devices/noiommu-vfioN`. Throws ENOENT for a device
 * that has an IOMMU, and where VFIO is not set to do without one.
 */
export function noiommuCdevPath(address: string, paths: SystemPaths = systemPaths): string {
  const device = requirePciDevice(address, paths);
  const entry = listDirectory(paths.pciDevice(device, "vfio-dev")).find((name) => name.startsWith("noiommu-vfio"));
  if (entry !== undefined) return paths.dev("vfio", "devices", entry);
  throw new VfioError(`${device} has no VFIO device file without an IOMMU`, {
    code: "ENOENT",
    operation: "find VFIO device file",
    subject: device,
    remedy:
      vfioDriverRemedy(device, paths) ??
      "use a kernel from 7.3 on with CONFIG_VFIO_NOIOMMU and CONFIG_VFIO_DEVICE_CDEV on a machine without IOMMU, and " +
        "echo Y > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode before the device is bound (in the lab: --iommu none)",
  });
}

/** Path of a device's VFIO character device, `/dev/vfio/devices/vfioN`. Throws ENOENT with the reason. */
export function vfioCdevPath(address: string, paths: SystemPaths = systemPaths): string {
  const folder = paths.pciDevice(normalizePciAddress(address), "vfio-dev");
  const entry = listDirectory(folder).find((name) => name.startsWith("vfio"));
  if (entry !== undefined) return paths.dev("vfio", "devices", entry);
  const device = requirePciDevice(address, paths);
  throw new VfioError(`${device} has no VFIO device file`, {
    code: "ENOENT",
    operation: "find VFIO device file",
    subject: device,
    remedy:
      vfioDriverRemedy(device, paths) ??
      "use a kernel with CONFIG_VFIO_DEVICE_CDEV (6.6 or newer), or a mode on a container",
  });
}
