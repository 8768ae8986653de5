import { linkName, listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";

/** The power switch of the hot-plug slot that holds a PCI function (Documentation/ABI/testing/sysfs-bus-pci-devices-pciehp). */
export function slotPowerOf(address: string): string {
  const slots = systemPaths.sys("bus", "pci", "slots");
  const place = address.slice(0, address.lastIndexOf("."));
  const slot = listDirectory(slots).find((name) => readAttribute(`${slots}/${name}/address`) === place);
  if (slot !== undefined) return `${slots}/${slot}/power`;
  skip({
    reason: `no driver serves the slot of ${address} (${linkName(systemPaths.pciDevice(address, "driver")) ?? "no driver"})`,
    remedy: "use a device in a hot-plug slot: vfio-selftests lab run --device igb-hotplug",
  });
}
