import { linkName, listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";

/** At least two devices of the run that share an IOMMU group. It skips the test when there are none. */
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
