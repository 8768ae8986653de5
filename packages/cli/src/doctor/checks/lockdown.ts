import { bootCommands } from "../boot-commands";
import type { Check } from "../check";
import type { Machine } from "../machine/machine";

/** Lockdown and signatures do not hinder VFIO, but what kernel developers do beside it. */
export const lockdown: Check = {
  id: "lockdown",
  subject: "devices",
  title: "lockdown",
  applies: ({ confinement }) => confinement.lockdown !== undefined || confinement.signedModulesOnly,
  examine: (machine) => {
    const { lockdown: level, signedModulesOnly } = machine.confinement;
    const locked = level !== undefined && level !== "none";
    if (!locked && !signedModulesOnly) return [];
    return [
      {
        severity: "note",
        text: !locked
          ? "the kernel loads signed modules only: a vfio-pci that you built is refused (EKEYREJECTED)"
          : `the kernel is locked down (${level}): it refuses modules without a signature, debugfs, and writes to a device's ` +
            "configuration space in sysfs. VFIO itself works",
        ...cure(machine),
      },
    ];
  },
};

function cure(machine: Machine): { readonly advice?: string; readonly commands: readonly string[] } {
  const { bootParameters, confinement } = machine;
  const parameter = bootParameters.find((word) => /^(?:lockdown=|module\.sig_enforce)/.test(word));
  if (parameter !== undefined) return bootCommands(machine, { remove: parameter });
  if (confinement.secureBoot !== true) return { advice: "use a kernel without it", commands: [] };
  return {
    advice: "Secure Boot does that; switch it off in the firmware's set-up, or sign your modules with an enrolled key:",
    commands: ["sudo systemctl reboot --firmware-setup"],
  };
}
