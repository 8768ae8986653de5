import type { Check } from "../check";

/** Where the CPU reaches further than the IOMMU, a guest's addresses may not be usable as IOVAs. */
export const addressWidth: Check = {
  id: "address-width",
  subject: "devices",
  title: "IOVA width",
  applies: ({ iommu }) => iommu.addressBits !== undefined && iommu.physicalBits !== undefined,
  examine: ({ iommu: { addressBits, physicalBits } }) => {
    if (addressBits === undefined || physicalBits === undefined || addressBits >= physicalBits) return [];
    return [
      {
        severity: "note",
        text:
          `the IOMMU reaches ${addressBits} bits, the CPU ${physicalBits}: a VM whose memory or BARs lie above ` +
          `2^${addressBits} cannot have its devices' DMA mapped (EINVAL). The suites keep below it`,
        advice: `limit the VM's addresses; with QEMU: -cpu host,host-phys-bits-limit=${addressBits}, with cloud-hypervisor: --cpus max_phys_bits=${addressBits}`,
        commands: [],
      },
    ];
  },
};
