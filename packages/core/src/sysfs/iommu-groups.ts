import { VfioError } from "../errors/vfio-error";
import { normalizePciAddress } from "./pci-address";
import { pciDevice, type PciDeviceEntry, requirePciDevice } from "./pci-devices";
import { linkName, listDirectory, type SystemPaths, systemPaths } from "./system-paths";
import { isVfioDriver } from "./vfio-driver";

/** Drivers besides VFIO's that leave a group viable, because they do no DMA (driver_managed_dma in the kernel). */
const HARMLESS_DRIVERS: ReadonlySet<string> = new Set(["pci-stub", "pcieport"]);

/** The number of a device's IOMMU group. Throws ENODEV if the device is not behind an IOMMU. */
export function iommuGroupOf(address: string, paths: SystemPaths = systemPaths): number {
  const group = linkName(paths.pciDevice(normalizePciAddress(address), "iommu_group"));
  if (group !== undefined) return Number(group);
  const device = requirePciDevice(address, paths);
  throw new VfioError(`${device} is in no IOMMU group`, {
    code: "ENODEV",
    operation: "find IOMMU group",
    subject: device,
    remedy:
      "switch the IOMMU on in the firmware and boot with intel_iommu=on or amd_iommu=on (CONFIG_INTEL_IOMMU, CONFIG_AMD_IOMMU)",
  });
}

/** PCI functions of a group. */
export function iommuGroupMembers(group: number, paths: SystemPaths = systemPaths): PciDeviceEntry[] {
  return listDirectory(paths.sys("kernel", "iommu_groups", String(group), "devices"))
    .filter((name) => /^[0-9a-f]+:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(name))
    .map((address) => pciDevice(address, paths));
}

/** Members whose drivers make the group not viable, so that the kernel does not give it to user space. */
export function groupBlockers(group: number, paths: SystemPaths = systemPaths): PciDeviceEntry[] {
  return iommuGroupMembers(group, paths).filter(
    ({ driver }) => driver !== undefined && !isVfioDriver(driver) && !HARMLESS_DRIVERS.has(driver),
  );
}
