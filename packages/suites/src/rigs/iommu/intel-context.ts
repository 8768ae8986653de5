import { readFileSync } from "node:fs";
import { listDirectory, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";

/**
 * The page tables to which the IOMMU leads a device's requests, or why nobody can tell. Each stands for an entry of the device: its own
 * and those of its PASIDs. Without an entry the IOMMU blocks the device.
 */
export type DeviceTables =
  | { readonly readable: true; readonly tables: readonly string[] }
  | { readonly readable: false; readonly reason: string };

/** Reads the entries in debugfs, which only Intel's IOMMU driver shows. Not of a device behind a bridge that takes its number. */
export function deviceTables(address: string, paths: SystemPaths = systemPaths): DeviceTables {
  const directory = paths.sys("kernel", "debug", "iommu", "intel");
  if (listDirectory(directory).length === 0) {
    return {
      readable: false,
      reason: `${directory} is not there (another IOMMU, a kernel without INTEL_IOMMU_DEBUGFS, or debugfs not mounted)`,
    };
  }
  const text = readFileSync(paths.sys("kernel", "debug", "iommu", "intel", "dmar_translation_struct"), "utf8");
  return { readable: true, tables: tablesOf(text, address) };
}

/**
 * The tables of a device in a `dmar_translation_struct` file (drivers/iommu/intel/debugfs.c). Each entry is a line of the device's number,
 * its root entry, its context entry, a PASID (-1 without scalable mode) and three words of the PASID's entry. Words come last first.
 */
export function tablesOf(text: string, address: string): string[] {
  const number = address.slice(address.indexOf(":") + 1);
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([device]) => device === number)
    .map(([, , context = "", pasid = "", entry = ""]) => {
      // The other words hold the domain's number, which may be another one each time.
      if (pasid === "-1") return context.split(":").at(-1) ?? "";
      const [firstStage = "", , secondStage = ""] = entry.split(":");
      return `${pasid}:${firstStage}:${secondStage}`;
    });
}
