import type { PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";

const BAR_0 = 0x10;
const ROM_BAR = 0x30;

/** Parts of capabilities that vfio-pci keeps apart from the device's; offsets from the capability, in bytes. */
const PARTS: Readonly<Record<number, { readonly offset: number; readonly length: number }>> = {
  [PciCapabilityId.powerManagement]: { offset: 2, length: 6 },
  [PciCapabilityId.vpd]: { offset: 2, length: 6 },
  [PciCapabilityId.msi]: { offset: 2, length: 22 },
  // Device control.
  [PciCapabilityId.pciExpress]: { offset: 8, length: 2 },
};

/** Offsets in configuration space where the user may see other bytes than the device has. */
export function virtualisedBytes({ config }: PciDevice): Set<number> {
  const own = new Set<number>();
  const add = (from: number, count: number) => {
    for (let at = from; at < from + count; at++) own.add(at);
  };
  // Command and status, the base addresses, interrupt line and pin.
  add(4, 4);
  add(BAR_0, 24);
  add(ROM_BAR, 4);
  add(0x3c, 2);
  for (const { id, offset } of config.capabilities().capabilities) {
    // The pointer to the next capability.
    add(offset + 1, 1);
    const part = PARTS[id];
    if (part !== undefined) add(offset + part.offset, part.length);
  }
  for (const { offset } of config.extendedCapabilities().capabilities) add(offset, 4);
  return own;
}
