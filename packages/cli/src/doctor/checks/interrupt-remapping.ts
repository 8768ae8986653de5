import { bootCommands } from "../boot-commands";
import type { Check } from "../check";
import type { Machine } from "../machine/machine";

const OFF = ["intremap=off", "nointremap"] as const;

/** Modules that refuse devices whose interrupts are not isolated: msi_isolated in vfio_iommu_type1.c and iommufd/device.c. */
const REFUSING = ["vfio_iommu_type1", "iommufd"] as const;

/** Without it, a device could raise any interrupt, and VFIO refuses it with EPERM. */
export const interruptRemapping: Check = {
  id: "interrupt-remapping",
  subject: "devices",
  title: "interrupt remapping",
  applies: ({ iommu }) => iommu.groups > 0 && iommu.interruptRemapping !== undefined,
  examine: (machine) => {
    const { iommu } = machine;
    if (iommu.interruptRemapping === true) return [];
    const refusing = REFUSING.filter((module) => iommu.unsafeInterrupts[module] !== true);
    if (refusing.length === 0) {
      return [{ severity: "note", text: "no interrupt remapping; allow_unsafe_interrupts accepts that", commands: [] }];
    }
    return [
      {
        severity: refusing.length === REFUSING.length ? "blocks" : "limits",
        text: `no interrupt remapping: ${refusing.join(" and ")} ${refusing.length === 1 ? "refuses" : "refuse"} devices (EPERM)`,
        advice: `${cure(machine)}. Or accept that a device can raise any interrupt:`,
        commands: refusing.map((module) => allowCommand(module, machine)),
      },
    ];
  },
};

function cure(machine: Machine): string {
  const off = OFF.find((parameter) => machine.bootParameters.includes(parameter));
  if (off !== undefined) {
    const { advice, commands } = bootCommands(machine, { remove: off });
    return advice ?? commands.join(" && ");
  }
  return machine.iommu.virtual
    ? "give the VM's IOMMU interrupt remapping (QEMU: -machine kernel-irqchip=split -device intel-iommu,intremap=on)"
    : "switch interrupt remapping (x2APIC, VT-d) on in the firmware's set-up";
}

/** A module that is not loaded takes the parameter when it is. */
function allowCommand(module: (typeof REFUSING)[number], { iommu }: Machine): string {
  return module in iommu.unsafeInterrupts
    ? `echo Y | sudo tee /sys/module/${module}/parameters/allow_unsafe_interrupts`
    : `sudo modprobe ${module} allow_unsafe_interrupts=1`;
}
