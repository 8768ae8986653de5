/** A line in which an IOMMU driver reports a refused access. Many tests provoke one, so it is a note, no failure. */
interface IommuFault {
  readonly pattern: RegExp;
  readonly source: string;
}

const IOMMU_FAULTS: readonly IommuFault[] = [
  // "[DMA Read NO_PASID] Request device", "[INTR-REMAP] Request device"
  { pattern: /DMAR: \[.*\] Request device/, source: "drivers/iommu/intel/dmar.c dmar_fault_do_one" },
  { pattern: /AMD-Vi: Event logged \[/, source: "drivers/iommu/amd/iommu.c amd_iommu_report_page_fault" },
  {
    pattern: /arm-smmu-v3 \S+: (?:event|\s+0x)/,
    source: "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c arm_smmu_dump_event",
  },
  {
    pattern: /arm-smmu \S+: Unhandled context fault/,
    source: "drivers/iommu/arm/arm-smmu/arm-smmu.c arm_smmu_context_fault",
  },
  { pattern: /virtio_iommu \S+: .* fault from EP/, source: "drivers/iommu/virtio-iommu.c viommu_fault_handler" },
];

export function isIommuFault(line: string): boolean {
  return IOMMU_FAULTS.some(({ pattern }) => pattern.test(line));
}
