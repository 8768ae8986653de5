import { readFileSync } from "node:fs";
import type { IovaRange } from "@vfio-selftests/core";
import { iommuGroupOf, systemPaths } from "@vfio-selftests/core/sysfs";

export interface ReservedRegion extends IovaRange {
  /** `msi`, `reserved`, `direct`, `direct-relaxable`, … (Documentation/ABI/testing/sysfs-kernel-iommu_groups) */
  readonly type: string;
}

/** The IOVAs that the IOMMU driver reserves for the device's group. sysfs shows them, independently of VFIO. */
export function reservedRegions(address: string): ReservedRegion[] {
  const group = String(iommuGroupOf(address));
  const lines = readFileSync(systemPaths.sys("kernel", "iommu_groups", group, "reserved_regions"), "utf8").split("\n");
  return lines
    .filter((line) => line !== "")
    .map((line) => {
      const [start = "", last = "", type = ""] = line.split(" ");
      return { start: BigInt(start), last: BigInt(last), type };
    })
    .sort((a, b) => (a.start < b.start ? -1 : 1));
}

/**
 * The IOVAs from 0 to `last` without the reserved ones. VFIO and iommufd leave `direct-relaxable` regions to the user
 * (vfio_iommu_resv_exclude, iopt_table_enforce_dev_resv_regions).
 */
export function usableIovas(address: string, last: bigint): IovaRange[] {
  const usable: IovaRange[] = [];
  let start = 0n;
  for (const region of reservedRegions(address)) {
    if (region.type === "direct-relaxable" || region.start > last) continue;
    if (region.start > start) usable.push({ start, last: region.start - 1n });
    start = region.last + 1n;
  }
  if (start <= last) usable.push({ start, last });
  return usable;
}
