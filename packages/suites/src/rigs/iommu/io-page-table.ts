import { closeSync, openSync, readSync } from "node:fs";
import { release } from "node:os";
import { existsPath, listDirectory, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { isOlderThan } from "../kernel/brought-by-linux";
import { translationOf } from "./intel-translation";

/** What the IOMMU's page table says of one address, or why nobody can read it. */
export type PageTableEntry =
  | {
      readonly readable: true;
      /** Bytes of the page that translates the address; undefined when nothing does. */
      readonly pageSize: number | undefined;
      /** First physical address of that page. */
      readonly physical: bigint | undefined;
      readonly writable: boolean | undefined;
    }
  | { readonly readable: false; readonly reason: string };

/** Looks a device's IOVA up in the page table in debugfs, which only Intel's IOMMU driver shows. */
export function ioPageTableEntry(
  address: string,
  iova: bigint,
  paths: SystemPaths = systemPaths,
  kernel = release(),
): PageTableEntry {
  const directory = paths.sys("kernel", "debug", "iommu", "intel");
  if (listDirectory(directory).length === 0) {
    return {
      readable: false,
      reason: `${directory} is not there (another IOMMU, a kernel without INTEL_IOMMU_DEBUGFS, or debugfs not mounted)`,
    };
  }
  const file = paths.sys("kernel", "debug", "iommu", "intel", address, "domain_translation_struct");
  // Before, one file had the tables of all devices (drivers/iommu/intel/debugfs.c).
  if (isOlderThan("6.7", kernel) && !existsPath(file)) {
    return { readable: false, reason: `Linux ${kernel} has no ${file}` };
  }
  // A driver that shows tables shows this one, too. A file that cannot be read fails the test, as upstream's.
  const translation = translationOf(chunksOf(file), iova);
  return {
    readable: true,
    pageSize: translation?.pageSize,
    physical: translation?.physical,
    writable: translation?.writable,
  };
}

const CHUNK_BYTES = 65_536;

/** A file's text in pieces. It reads only what the caller takes. */
function* chunksOf(file: string): Generator<string> {
  const fd = openSync(file, "r");
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const length = readSync(fd, buffer);
      if (length === 0) return;
      yield buffer.toString("latin1", 0, length);
    }
  } finally {
    closeSync(fd);
  }
}
