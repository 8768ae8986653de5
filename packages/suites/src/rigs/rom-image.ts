import { readFileSync, writeFileSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";

/** The image in the device's ROM, as sysfs shows it to root past vfio-pci; empty where there is no valid one. */
export function romImageOf(address: string): Buffer {
  const file = systemPaths.pciDevice(address, "rom");
  // A write opens the file for reading (pci_write_rom).
  writeFileSync(file, "1");
  try {
    return readFileSync(file);
  } catch (error) {
    // pci_read_rom
    if ((error as NodeJS.ErrnoException).code === "EIO") return Buffer.alloc(0);
    throw error;
  } finally {
    writeFileSync(file, "0");
  }
}
