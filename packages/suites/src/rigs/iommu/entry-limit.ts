import type { IommuMode } from "@vfio-selftests/core";
import { existsPath, systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedValue } from "@vfio-selftests/harness";

/** Type 1 lets a container have 65,535 mappings unless it is told otherwise; disposal puts the limit back. */
export function entryLimit(mode: IommuMode, maps: number): Disposable {
  const path = systemPaths.sys("module", "vfio_iommu_type1", "parameters", "dma_entry_limit");
  if (mode.traits.api !== "container" || !existsPath(path)) return { [Symbol.dispose]: () => undefined };
  const limit = new GuardedValue(path);
  if (Number(limit.original) < maps) limit.set(maps);
  return limit;
}
