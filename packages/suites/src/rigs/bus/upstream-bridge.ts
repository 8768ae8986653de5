import { realpathSync } from "node:fs";
import { basename, dirname } from "node:path";
import { systemPaths } from "@vfio-selftests/core/sysfs";

/** The bridges above a PCI function, the nearest first. Empty for a function of the root bus. */
export function bridgesAbove(address: string): string[] {
  const bridges: string[] = [];
  let directory = dirname(realpathSync(systemPaths.pciDevice(address)));
  // /sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0
  for (; !basename(directory).startsWith("pci"); directory = dirname(directory)) bridges.push(basename(directory));
  return bridges;
}
