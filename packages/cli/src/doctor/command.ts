import { defineCommand } from "../options/command";
import { DEVICE_FORMS } from "../options/device-forms";
import { count, flag } from "../options/option";
import type { DoctorOptions } from "./examine-machine";

/** More than any machine has; it only catches mistakes. */
const MOST_MIB = 2 ** 30;

export const doctorCommand = defineCommand<DoctorOptions>({
  argument: { usage: "[device]", summary: `a PCI device: ${DEVICE_FORMS}; default: every device bound to vfio-pci` },
  options: {
    json: flag("--json", "as JSON"),
    memoryMiB: count(
      "--memory <MiB>",
      "memory that each device maps, for the limit on locked memory (default: 1026, as the suites need; a VM's with a vIOMMU)",
      { least: 1, most: MOST_MIB },
    ),
  },
  notes: [
    "It reads /sys, /proc and /dev, opens no device, and changes nothing. Findings that need root to be seen say so.",
    "Exit codes: 0 the suites can run on the device, or on one of the devices; 1 something keeps them from the named device; " +
      "4 no device of this machine can be tested.",
  ],
  run: async ([address], options) => (await import("./examine-machine.js")).examineMachine(address, options),
});
