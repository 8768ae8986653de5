import { DEFAULT_ARCHITECTURE, LAB_DEFAULTS, parseArchitecture } from "@vfio-selftests/lab";
import type { MachineOptions } from "./options";

/** What durations and coverage depend on, beside the test. */
export type MachineKind = Pick<MachineOptions, "arch" | "devices" | "iommu" | "with">;

/** `igb+intel`, `edu+amd+kasan`, `igb+smmuv3+arm64`: devices, IOMMU, another CPU, and the kind of kernel. */
export function machineName({ arch, devices, iommu, with: variants = [] }: MachineKind): string {
  const architecture = arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(arch);
  const [defaultIommu] = architecture.iommus;
  const cpu = architecture === DEFAULT_ARCHITECTURE ? [] : [architecture.name];
  return [...(devices ?? LAB_DEFAULTS.devices), iommu ?? defaultIommu.name, ...cpu, ...variants].join("+");
}
