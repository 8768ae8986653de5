import { defineCommand } from "../options/command";
import { DEVICE_FORMS } from "../options/device-forms";
import { flag } from "../options/option";

export const infoCommand = defineCommand<{ readonly json?: boolean }>({
  argument: { usage: "<device>", summary: `a PCI device: ${DEVICE_FORMS}` },
  options: { json: flag("--json", "as JSON; addresses, sizes and masks of 64 bits are hexadecimal text") },
  notes: [
    "A device that is bound to vfio-pci is opened for a moment, and shows what VFIO and the IOMMU tell of it. The kernel " +
      "resets a device when it is opened. Any other device is only read, in sysfs.",
    "Capabilities need root, because the kernel shows an ordinary user the first 64 bytes of configuration space. Names come " +
      "from the machine's pci.ids.",
  ],
  run: async ([device = ""], options) => (await import("./show-device.js")).showDevice(device, options),
});
