import { argumentError } from "@vfio-selftests/core";

/** An IOMMU the VM can have. */
export interface LabIommu {
  readonly name: string;
  readonly summary: string;
  /** Arguments of `-device`; they come before every other device. */
  readonly devices: readonly string[];
  /** Added to the kernel command line. */
  readonly kernel: readonly string[];
}

export const LAB_IOMMUS: readonly LabIommu[] = [
  {
    name: "intel",
    summary: "VT-d with second-stage tables and interrupt remapping",
    // caching-mode: vfio-user-pci aborts without it
    devices: ["intel-iommu,intremap=on,caching-mode=on,device-iotlb=on"],
    kernel: ["intel_iommu=on"],
  },
  {
    name: "intel-scalable",
    summary: "VT-d in scalable mode with first-stage tables",
    devices: ["intel-iommu,intremap=on,scalable-mode=on,fsts=on,device-iotlb=on"],
    kernel: ["intel_iommu=on,sm_on"],
  },
  {
    name: "amd",
    summary: "AMD-Vi with interrupt remapping",
    devices: ["amd-iommu,intremap=on,dma-remap=on"],
    kernel: [],
  },
  {
    name: "virtio",
    summary: "virtio-iommu; it remaps no interrupts, so VFIO is told to allow that",
    devices: ["virtio-iommu-pci"],
    kernel: ["vfio_iommu_type1.allow_unsafe_interrupts=1", "iommufd.allow_unsafe_interrupts=1"],
  },
  {
    name: "none",
    summary: "no IOMMU: VFIO's no-IOMMU mode, and the errors of a machine without one",
    devices: [],
    kernel: ["intel_iommu=off", "amd_iommu=off", "vfio.enable_unsafe_noiommu_mode=1"],
  },
];

export function parseIommu(choice: string): LabIommu {
  const iommu = LAB_IOMMUS.find(({ name }) => name === choice);
  if (iommu === undefined) {
    throw argumentError("lab run", "iommu", choice, LAB_IOMMUS.map(({ name }) => name).join(", "));
  }
  return iommu;
}
