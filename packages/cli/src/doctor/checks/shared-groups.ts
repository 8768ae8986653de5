import type { DeviceDescription } from "../../info/describe-device";
import type { Check, Finding } from "../check";

/** A group of several slots: nothing on the way between them keeps their DMA apart (ACS). */
export const sharedGroups: Check = {
  id: "acs",
  subject: "devices",
  title: "groups",
  applies: ({ devices }) => devices.length > 0,
  examine: ({ devices }) => {
    const groups = new Map(devices.flatMap(({ iommuGroup }) => (iommuGroup ? [[iommuGroup.number, iommuGroup]] : [])));
    return [...groups.values()].flatMap(shared);
  },
};

function shared({ number, members }: NonNullable<DeviceDescription["iommuGroup"]>): Finding[] {
  // Ports belong to the kernel in any case.
  const addresses = members.filter(({ driver }) => driver !== "pcieport").map(({ address }) => address);
  const slots = new Set(addresses.map((address) => address.slice(0, address.indexOf("."))));
  if (slots.size <= 1) return [];
  return [
    {
      severity: "note",
      text:
        `group ${number} holds ${addresses.join(", ")}: no bridge between them keeps their DMA apart (ACS; a conventional ` +
        "PCI bus has none). Only one user can have them, and must have all",
      advice: "put the device into another slot, or switch ACS on in the firmware's set-up. What the bridges can do:",
      commands: ["sudo lspci -vvv | grep -E '^[0-9a-f]|Access Control|ACSCtl'"],
    },
  ];
}
