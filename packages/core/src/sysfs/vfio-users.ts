import { describeHolders } from "./file-holders";
import { linkName, listDirectory, type SystemPaths, systemPaths } from "./system-paths";

/**
 * The group file, existing or not, of a device that VFIO gives out without an IOMMU; undefined for a device in no
 * group.
 */
export function noiommuGroupPath(address: string, paths: SystemPaths = systemPaths): string | undefined {
  const group = linkName(paths.pciDevice(address, "iommu_group"));
  return group === undefined ? undefined : paths.dev("vfio", `noiommu-${group}`);
}

/** The files, existing or not, that open a device through VFIO: its group's (two names), and its own. */
export function vfioFiles(address: string, paths: SystemPaths = systemPaths): string[] {
  const group = linkName(paths.pciDevice(address, "iommu_group"));
  const noiommu = noiommuGroupPath(address, paths);
  return [
    ...(group === undefined ? [] : [paths.dev("vfio", group)]),
    ...(noiommu === undefined ? [] : [noiommu]),
    ...listDirectory(paths.pciDevice(address, "vfio-dev")).map((name) => paths.dev("vfio", "devices", name)),
  ];
}

/**
 * Which processes have these devices open, as far as this process may see:
 * `/dev/vfio/5 is held by process 4711 (qemu-system-x86)`; undefined if none is visible. `ownFd`, a descriptor of this
 * process, does not count.
 */
export function describeVfioUsers(
  addresses: readonly string[],
  paths: SystemPaths = systemPaths,
  ownFd = -1,
): string | undefined {
  const files = new Set(addresses.flatMap((address) => vfioFiles(address, paths)));
  const found = [...files].flatMap((file) => {
    const holders = describeHolders(file, paths, ownFd);
    return holders === undefined ? [] : [`${file} is ${holders}`];
  });
  return found.length === 0 ? undefined : found.join("; ");
}
