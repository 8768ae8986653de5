import { LAB_DEFAULTS } from "@vfio-selftests/lab";
import type { MachineOptions } from "./options";

/** What durations and coverage depend on, beside the test. */
export type MachineKind = Pick<MachineOptions, "devices" | "iommu" | "with">;

/** `igb+intel`, `edu+amd+kasan`: devices, IOMMU, and the kind of kernel. */
export function machineName({ devices, iommu, with: variants = [] }: MachineKind): string {
  return [...(devices ?? LAB_DEFAULTS.devices), iommu ?? LAB_DEFAULTS.iommu, ...variants].join("+");
}
