import { VfioError } from "@vfio-selftests/core";
import { describeVfioUsers, groupBlockers, iommuGroupMembers, type SystemPaths } from "@vfio-selftests/core/sysfs";

/** Path of a group's file. */
export function groupPath(group: number, paths: SystemPaths): string {
  return paths.dev("vfio", String(group));
}

/** `0000:01:00.0 (igb), 0000:01:00.1 (ahci)`; undefined when nothing blocks the group. */
export function describeBlockers(group: number, paths: SystemPaths): string | undefined {
  const blockers = groupBlockers(group, paths);
  if (blockers.length === 0) return undefined;
  return blockers.map(({ address, driver }) => `${address} (${driver})`).join(", ");
}

export function groupNotViable(group: number, operation: string, paths: SystemPaths): VfioError {
  const blockers = groupBlockers(group, paths);
  const named = describeBlockers(group, paths);
  return new VfioError(
    `IOMMU group ${group} is not viable: ${named === undefined ? "a device of it is used by the kernel" : `in use by the kernel: ${named}`}`,
    {
      code: "ERR_GROUP_NOT_VIABLE",
      operation,
      subject: groupPath(group, paths),
      remedy:
        blockers.length === 0
          ? "bind every device of the group to vfio-pci or to no driver"
          : `bind them to vfio-pci too: vfio-selftests bind ${blockers.map(({ address }) => address).join(" ")}`,
    },
  );
}

/**
 * Which processes have the group or one of its devices open, as far as this process may see. `ownFd` does not count.
 */
export function describeUsers(group: number, paths: SystemPaths, ownFd = -1): string | undefined {
  const addresses = iommuGroupMembers(group, paths).map(({ address }) => address);
  return describeVfioUsers(addresses, paths, ownFd);
}

/** What to do about a busy group or device. */
export function busyRemedy(group: number, paths: SystemPaths, ownFd = -1): string {
  const users = describeUsers(group, paths, ownFd);
  if (users !== undefined) return `end the other use first: ${users}`;
  return "end the other use of the group first (root sees its process named here); a group is used either by its group file or by device files, and by one address space";
}
