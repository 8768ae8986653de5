import { listDirectory, readAttribute, type SystemPaths, systemPaths } from "../system-paths";
import { realPath } from "./class-members";
import { diskUses } from "./disk-uses";
import { fileSystemUses } from "./file-system-uses";
import { networkUses } from "./network-uses";

/**
 * The machine's present uses of a PCI function: disks, swap, network interfaces, the display. Taking such a device from
 * its driver would harm the running system. Each use is one line for people. Empty if no use is known.
 *
 * Root sees everything. The kernel hides the holders of disks, and other users' processes, from other users.
 */
export function deviceUses(address: string, paths: SystemPaths = systemPaths): string[] {
  const directory = realPath(paths.pciDevice(address));
  if (directory === undefined) return [];
  return [
    ...diskUses(directory, paths),
    ...fileSystemUses(directory, paths),
    ...networkUses(address, directory, paths),
    ...displayUses(address, paths),
  ];
}

function displayUses(address: string, paths: SystemPaths): string[] {
  const bootDisplay = readAttribute(paths.pciDevice(address, "boot_vga")) === "1";
  const framebuffer = listDirectory(paths.pciDevice(address, "graphics")).length > 0;
  return bootDisplay || framebuffer ? ["it is the machine's display"] : [];
}
