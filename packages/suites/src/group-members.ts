import { linkName, listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "./outcome/skip";

/** Devices of the run that share an IOMMU group, at least two; else the test is skipped. */
export function devicesOfOneGroup(devices: readonly string[]): string[] {
  for (const address of devices) {
    const members = listDirectory(systemPaths.pciDevice(address, "iommu_group", "devices"));
    const used = members.filter((member) => devices.includes(member));
    if (used.length > 1) return used;
  }
  const groups = devices.map((address) => linkName(systemPaths.pciDevice(address, "iommu_group")) ?? "none");
  skip({
    reason: `no two devices of the run share an IOMMU group (groups: ${groups.join(", ") || "none"})`,
    remedy:
      "name two devices of one group, for example two edu devices behind a PCI bridge (lab run --device edu-group)",
  });
}
