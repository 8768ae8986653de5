import type { Check } from "../check";

/** A group of several slots: no switch or port between them keeps their DMA apart (ACS). */
export const sharedGroups: Check = {
  id: "acs",
  subject: "devices",
  title: "groups",
  applies: ({ devices }) => devices.length > 0,
  examine: ({ devices }) =>
    devices.flatMap(({ address, iommuGroup }) => {
      const slot = (one: string): string => one.slice(0, one.indexOf("."));
      const others = (iommuGroup?.members ?? []).filter((member) => slot(member.address) !== slot(address));
      const strangers = others.filter(({ driver }) => driver !== "pcieport");
      if (strangers.length === 0) return [];
      return [
        {
          severity: "note" as const,
          text:
            `group ${iommuGroup?.number ?? ""} of ${address} holds ${strangers.map((one) => one.address).join(", ")}, too, because ` +
            "no bridge between them has Access Control Services. Only one user can have them all",
          advice:
            "put the device into a slot of the CPU's, or switch ACS on in the firmware's set-up. The bridges' side:",
          commands: ["sudo lspci -vvv | grep -E '^[0-9a-f]|Access Control|ACSCtl'"],
        },
      ];
    }),
};
