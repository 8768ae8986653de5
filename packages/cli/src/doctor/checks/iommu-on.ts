import { bootCommands } from "../boot-commands";
import type { Check, Finding } from "../check";
import type { Machine } from "../machine/machine";

/** Parameters that switch the IOMMU off. */
const OFF = ["iommu=off", "intel_iommu=off", "amd_iommu=off"] as const;

const LAB = "vfio-selftests lab run";

/** The kernel has an IOMMU at work: it made groups. */
export const iommuOn: Check = {
  id: "iommu",
  subject: "devices",
  title: "IOMMU",
  examine: (machine) => (machine.iommu.groups > 0 ? [] : [whyOff(machine)]),
};

function whyOff(machine: Machine): Finding {
  const { bootParameters, iommu } = machine;
  const off = OFF.find((parameter) => bootParameters.includes(parameter));
  if (off !== undefined) {
    return {
      severity: "blocks",
      text: `the kernel's parameter ${off} switches the IOMMU off`,
      ...bootCommands(machine, { remove: off }),
    };
  }
  if (iommu.firmwareTable === null && iommu.virtual) {
    return {
      severity: "blocks",
      text: "this VM has no IOMMU (no DMAR, IVRS, IORT or VIOT table)",
      advice:
        "give the VM one; with QEMU: -machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on. A VM inside it has all:",
      commands: [LAB],
    };
  }
  if (iommu.firmwareTable === null) {
    return {
      severity: "blocks",
      text: "the firmware offers no IOMMU (no DMAR, IVRS, IORT or VIOT table)",
      advice:
        "switch it on in the firmware's set-up: VT-d on Intel, IOMMU or AMD-Vi on AMD. Without one, the lab has it:",
      commands: ["sudo systemctl reboot --firmware-setup", LAB],
    };
  }
  const parameter = iommu.cpu === "amd" ? "amd_iommu=on" : "intel_iommu=on";
  const known = iommu.firmwareTable !== undefined;
  if (iommu.cpu === "intel" && !bootParameters.includes(parameter)) {
    return {
      severity: "blocks",
      text: known
        ? `the firmware offers an IOMMU (${iommu.firmwareTable}), but the kernel does not use it`
        : "the kernel has no IOMMU at work",
      ...bootCommands(machine, { add: parameter }),
    };
  }
  return {
    severity: "blocks",
    text: "the kernel has no IOMMU at work",
    advice:
      "switch it on in the firmware's set-up, and use a kernel with its driver (CONFIG_INTEL_IOMMU, CONFIG_AMD_IOMMU, " +
      "CONFIG_ARM_SMMU_V3, CONFIG_VIRTIO_IOMMU); the kernel log has its reasons. Without one, the lab has it:",
    commands: ["sudo dmesg | grep -iE 'dmar|iommu|amd-vi'", LAB],
  };
}
