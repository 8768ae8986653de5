import { existsSync } from "node:fs";
import type { IommuMode } from "@vfio-selftests/core";
import { systemPaths } from "@vfio-selftests/core/sysfs";

/**
 * Whether a mode maps device registers for DMA: the type 1 driver does. With CONFIG_IOMMUFD_VFIO_CONTAINER
 * /dev/vfio/vfio is iommufd's, and the type 1 driver is not there.
 */
export function mapsRegisters(mode: IommuMode): boolean {
  return mode.name.startsWith("vfio_type1") && existsSync(systemPaths.sys("module", "vfio_iommu_type1"));
}
