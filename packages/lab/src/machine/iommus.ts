import { argumentError } from "@vfio-selftests/core/errors";

/** An IOMMU the VM can have. */
export interface LabIommu {
  /** Its name for `--iommu`. */
  readonly name: string;
  /** One line for people: what it is. */
  readonly summary: string;
  /** Arguments of `-device`, which come before every other device. */
  readonly devices: readonly string[];
  /** Arguments of `-blockdev` that the devices need. */
  readonly blockDevices?: readonly string[];
  /** Added to the kernel command line. */
  readonly kernel: readonly string[];
  /**
   * Whether QEMU learns of every mapping, which it must pass on to a vfio-user device. Linux announces new first-stage
   * mappings to nobody (`cache_tag_flush_range_np` in drivers/iommu/intel/cache.c), so DMA to them would fail.
   */
  readonly announcesMappings: boolean;
}

/** The device number on the root bus that QEMU's ACPI table (IVRS) gives the I/O APIC. No other device may be there. */
export const AMD_SOUTHBRIDGE_ADDRESS = 0x14;

/** The IOMMUs that a VM of x86-64 may have. */
export const X86_IOMMUS: readonly [LabIommu, ...LabIommu[]] = [
  {
    name: "intel",
    summary: "VT-d with second-stage tables and interrupt remapping",
    // caching-mode: vfio-user-pci aborts without it
    devices: ["intel-iommu,intremap=on,caching-mode=on,device-iotlb=on"],
    kernel: ["intel_iommu=on"],
    announcesMappings: true,
  },
  {
    name: "intel-scalable",
    summary: "VT-d in scalable mode with first-stage tables",
    devices: ["intel-iommu,intremap=on,scalable-mode=on,fsts=on,device-iotlb=on"],
    kernel: ["intel_iommu=on,sm_on"],
    announcesMappings: false,
  },
  {
    name: "amd",
    summary: "AMD-Vi with interrupt remapping",
    // Linux 7.3 remaps interrupts only where it finds an SMBus controller or an ISA bridge at the address that the ACPI
    // table gives the I/O APIC (`check_sb_ioapic` in drivers/iommu/amd/init.c). QEMU has nothing there, and no such
    // device to add, but a disk can get another class.
    devices: [
      "amd-iommu,intremap=on,dma-remap=on",
      `virtio-blk-pci,drive=southbridge,class=0x0c05,addr=0x${AMD_SOUTHBRIDGE_ADDRESS.toString(16)}`,
    ],
    blockDevices: ["null-co,node-name=southbridge,size=512"],
    kernel: [],
    announcesMappings: true,
  },
  {
    name: "virtio",
    summary: "virtio-iommu; it remaps no interrupts, so VFIO is told to allow that",
    devices: ["virtio-iommu-pci"],
    kernel: ["vfio_iommu_type1.allow_unsafe_interrupts=1", "iommufd.allow_unsafe_interrupts=1"],
    announcesMappings: true,
  },
  {
    name: "none",
    summary: "no IOMMU: VFIO's no-IOMMU mode, and the errors of a machine without one",
    devices: [],
    kernel: ["intel_iommu=off", "amd_iommu=off", "vfio.enable_unsafe_noiommu_mode=1"],
    announcesMappings: true,
  },
];

export const ARM64_IOMMUS: readonly [LabIommu, ...LabIommu[]] = [
  {
    name: "smmuv3",
    summary: "Arm's SMMUv3 with stage-1 tables; it has both stages",
    devices: ["arm-smmuv3,primary-bus=pcie.0,stage=nested"],
    kernel: [],
    // hw/arm/smmuv3.c, smmuv3_notify_flag_changed: "SMMUv3 does not support 'MAP' notifier yet"
    announcesMappings: false,
  },
  {
    name: "smmuv3-stage2",
    summary: "an SMMUv3 that has stage-2 tables alone",
    devices: ["arm-smmuv3,primary-bus=pcie.0,stage=2"],
    kernel: [],
    announcesMappings: false,
  },
  {
    name: "virtio",
    summary: "virtio-iommu; vfio_type1v2_iommu gets no interrupts behind it",
    devices: ["virtio-iommu-pci"],
    kernel: [],
    announcesMappings: true,
  },
  {
    name: "none",
    summary: "no IOMMU: VFIO's no-IOMMU mode, and the errors of a machine without one",
    devices: [],
    kernel: ["vfio.enable_unsafe_noiommu_mode=1"],
    announcesMappings: true,
  },
];

export function parseIommu(choice: string, iommus: readonly LabIommu[]): LabIommu {
  const iommu = iommus.find(({ name }) => name === choice);
  if (iommu === undefined) {
    throw argumentError("lab run", "iommu", choice, iommus.map(({ name }) => name).join(", "));
  }
  return iommu;
}
