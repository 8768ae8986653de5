import { bootCommands } from "../boot-commands";
import type { Check } from "../check";

const PASSTHROUGH = ["iommu=pt", "iommu.passthrough=1"] as const;

/** VFIO gives a device a domain of its own, so the kernel's default for its own drivers does not matter to it. */
export const passthrough: Check = {
  id: "passthrough",
  subject: "devices",
  title: "translation",
  applies: ({ iommu }) => iommu.groups > 0,
  examine: (machine) => {
    const found = PASSTHROUGH.find((parameter) => machine.bootParameters.includes(parameter));
    if (found === undefined) return [];
    return [
      {
        severity: "note",
        text:
          `${found}: the kernel's own drivers do DMA without translation. Devices of VFIO are translated all the same. ` +
          "To have a driver's DMA translated, too, before and after a test:",
        ...bootCommands(machine, { remove: found }),
      },
    ];
  },
};
