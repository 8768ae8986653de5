import type { Check, Finding, Severity } from "../check";
import type { VfioModule } from "../machine/kernel-modules";
import type { Machine } from "../machine/machine";

interface NeededModule {
  readonly module: VfioModule;
  readonly options: string;
  readonly severity: Severity;
  /** What does not work without it. */
  readonly effect: string;
}

const NEEDED: readonly NeededModule[] = [
  {
    module: "vfio-pci",
    options: "CONFIG_VFIO_PCI",
    severity: "blocks",
    effect: "no device can be given to user space",
  },
  {
    module: "vfio_iommu_type1",
    options: "CONFIG_VFIO_GROUP, CONFIG_VFIO_CONTAINER and CONFIG_VFIO_IOMMU_TYPE1",
    severity: "limits",
    effect:
      "the modes vfio_type1_iommu and vfio_type1v2_iommu skip, and no mode maps registers (BARs) for DMA: iommufd refuses " +
      "their addresses with EFAULT",
  },
  {
    module: "iommufd",
    options: "CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV",
    severity: "limits",
    effect: "the modes of iommufd skip",
  },
];

/** The kernel has the modules, or can load them. */
export const vfioModules: Check = {
  id: "modules",
  subject: "devices",
  title: "kernel modules",
  examine: (machine) => NEEDED.flatMap((needed) => finding(needed, machine)),
};

function finding({ module, options, severity, effect }: NeededModule, machine: Machine): Finding[] {
  const { kernel, confinement } = machine;
  const load = `sudo modprobe ${module}`;
  switch (machine.modules[module]) {
    case "present":
      return [];
    case "loadable":
      return [{ severity, text: `${module} is not loaded: ${effect}`, commands: [load] }];
    case "missing":
      return [lacking(`the kernel ${kernel} has no ${module}: ${effect}`, `use a kernel with ${options}`, severity)];
    case "unknown":
      if (confinement.container !== undefined) {
        const advice = "a container cannot load modules; on the host:";
        return [{ severity, text: `${module} is not loaded: ${effect}`, advice, commands: [load] }];
      }
      return [
        lacking(
          `${module} is not loaded: ${effect}`,
          `/lib/modules has no folder of the running kernel, ${kernel}: after an update, boot the new kernel; else use one with ${options}`,
          severity,
        ),
      ];
  }
}

/** No command adds a module to a kernel. The lab's kernel has them all. */
function lacking(text: string, advice: string, severity: Severity): Finding {
  return severity === "blocks"
    ? { severity, text, advice: `${advice}. The lab has one:`, commands: ["vfio-selftests lab run"] }
    : { severity, text, advice, commands: [] };
}
