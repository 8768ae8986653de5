import {
  fileHolders,
  iommuGroupOf,
  listDirectory,
  readAttribute,
  readNumber,
  systemPaths,
  vfioCdevPath,
  type PciDeviceEntry,
  type SystemPaths,
} from "@vfio-selftests/core";

/** PCI class codes, base class and sub-class (PCI Code and ID Assignment Specification). */
const BRIDGE_CLASS = 0x06;
const IFF_UP = 1;

/** Why taking the device from its driver would hurt; undefined when nothing is seen. `--force` does it all the same. */
export function useByHost(device: PciDeviceEntry, paths: SystemPaths = systemPaths): string | undefined {
  const directory = paths.pciDevice(device.address);
  const uses = [
    ...networkInterfaces(directory)
      .filter((path) => (readNumber(`${path}/flags`) ?? 0) & IFF_UP)
      .map(nameOf("network interface", "is up")),
    ...mountedDisks(directory, paths),
    ...(readNumber(`${directory}/boot_vga`) === 1 ? ["it is the display that the machine booted with"] : []),
  ];
  return uses.length === 0 ? undefined : uses.join("; ");
}

/** vfio-pci takes functions with a type 0 header only. */
export function isBridge(device: PciDeviceEntry): boolean {
  return device.class >> 16 === BRIDGE_CLASS;
}

/** Processes that have the device open through VFIO; undefined when none is seen. */
export function useByVfio(address: string, paths: SystemPaths = systemPaths): string | undefined {
  const files = [() => paths.dev("vfio", String(iommuGroupOf(address, paths))), () => vfioCdevPath(address, paths)];
  for (const file of files) {
    let path: string;
    try {
      path = file();
    } catch {
      continue; // no group, or no device file on this kernel
    }
    const [holder] = fileHolders(path, paths);
    if (holder !== undefined) return `${path} is open in process ${holder.pid} (${holder.command})`;
  }
  return undefined;
}

function nameOf(what: string, state: string): (path: string) => string {
  return (path) => `${what} ${path.split("/").at(-1) ?? path} ${state}`;
}

function networkInterfaces(directory: string): string[] {
  return listDirectory(`${directory}/net`).map((name) => `${directory}/net/${name}`);
}

/** Block devices of the function that are mounted, swapped on, or used by another (device mapper, RAID). */
function mountedDisks(directory: string, paths: SystemPaths): string[] {
  const sources = `${readAttribute(paths.proc("self", "mounts")) ?? ""}\n${readAttribute(paths.proc("swaps")) ?? ""}`;
  const inUse = new Set(sources.split("\n").map((line) => line.split(/\s/, 1)[0]));
  return blockDevices(directory).flatMap((path) => {
    const names = [path, ...partitions(path)].map((part) => part.split("/").at(-1) ?? "");
    const mounted = names.find((name) => inUse.has(`/dev/${name}`));
    if (mounted !== undefined) return [`disk ${mounted} is mounted or swap`];
    const held = [path, ...partitions(path)].find((part) => listDirectory(`${part}/holders`).length > 0);
    return held === undefined ? [] : [`disk ${held.split("/").at(-1) ?? ""} is part of another device`];
  });
}

function partitions(disk: string): string[] {
  const name = disk.split("/").at(-1) ?? "";
  return listDirectory(disk)
    .filter((entry) => entry.startsWith(name))
    .map((entry) => `${disk}/${entry}`);
}

/** How deep below a PCI function its disks can be: host, target, lun, block for SCSI. */
const DEPTH = 7;

/** Directories of block devices below a function: `block/sda`, `nvme/nvme0/nvme0n1`, `virtio3/block/vda`. */
function blockDevices(directory: string, depth = DEPTH): string[] {
  if (depth === 0) return [];
  return listDirectory(directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    if (name === "block") return listDirectory(path).map((disk) => `${path}/${disk}`);
    if (/^nvme\d+n\d+$/.test(name)) return [path];
    return /^(?:ata|host|target|nvme|virtio|mmc|usb)|^\d+:/.test(name) ? blockDevices(path, depth - 1) : [];
  });
}
