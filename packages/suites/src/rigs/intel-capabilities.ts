import { readFileSync } from "node:fs";
import { listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";

/** Bits of VT-d's extended capability register (drivers/iommu/intel/iommu.h, ecap_*). */
export const ECAP = {
  /** The IOMMU can forbid accesses without snooping. */
  snoopControl: 1n << 7n,
  scalableMode: 1n << 43n,
  firstStage: 1n << 47n,
} as const;

/** The register's value for each of the machine's Intel IOMMUs; empty where there is none. */
export function intelExtendedCapabilities(): bigint[] {
  const directory = systemPaths.sys("class", "iommu");
  return listDirectory(directory)
    .filter((name) => name.startsWith("dmar"))
    .map((name) => {
      const file = systemPaths.sys("class", "iommu", name, "intel-iommu", "ecap");
      return BigInt(`0x${readFileSync(file, "utf8").trim()}`);
    });
}

/** Whether the Intel driver uses first-stage page tables for its domains (intel/iommu.c). */
export function usesFirstStage(): boolean {
  const needed = ECAP.scalableMode | ECAP.firstStage;
  return intelExtendedCapabilities().some((capabilities) => (capabilities & needed) === needed);
}
