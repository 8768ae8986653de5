import { sep } from "node:path";
import { describeHolders } from "../file-holders";
import { existsPath, listDirectory, readAttribute, type SystemPaths } from "../system-paths";
import { classMembers, realPath } from "./class-members";
import { readMounts } from "./mounts";

/**
 * Why the machine needs the disks of a PCI function.
 *
 * The function asks the kernel for each disk and partition. A mount, swap, or a volume (md, dm, btrfs, ZFS, bcachefs)
 * claims it, in whatever namespace, and a second exclusive open fails with EBUSY (block/bdev.c, `bd_prepare_to_claim`).
 * A virtual machine that holds a raw disk claims nothing, but its open file shows.
 */
export function diskUses(directory: string, paths: SystemPaths): string[] {
  const names = [...classMembers("block", directory, paths), ...multipathNamespaces(directory, paths)];
  return names.flatMap((name) => usesOf(name, paths));
}

/** The uses with a name. Without any, the kernel's claim alone. */
function usesOf(name: string, paths: SystemPaths): string[] {
  const node = deviceNode(name, paths);
  const named = [...mountsOf(name, paths), ...swapOf(name, paths), ...volumesOf(name, paths)];
  const holders = describeHolders(node, paths);
  const uses = holders === undefined ? named : [...named, `disk ${name} is ${holders}`];
  if (uses.length > 0 || paths.claim(node) !== "EBUSY") return uses;
  return [`disk ${name} is claimed by the kernel (a member of a volume, or mounted in another namespace)`];
}

function mountsOf(name: string, paths: SystemPaths): string[] {
  const number = readAttribute(paths.sys("class", "block", name, "dev"));
  return readMounts(paths)
    .filter(({ device, source }) => device === number || source === `/dev/${name}`)
    .map(({ target }) => `disk ${name} is mounted at ${target}`);
}

function swapOf(name: string, paths: SystemPaths): string[] {
  const swaps = (readAttribute(paths.proc("swaps")) ?? "").split("\n").slice(1);
  return swaps.some((line) => /^\/dev\/(\S+)/.exec(line)?.[1] === name) ? [`disk ${name} is swap space`] : [];
}

function volumesOf(name: string, paths: SystemPaths): string[] {
  return listDirectory(paths.sys("class", "block", name, "holders")).map(
    (holder) => `disk ${name} is part of ${holder}`,
  );
}

/**
 * With native multipath (drivers/nvme/host/multipath.c), an NVMe disk lies below its subsystem, under devices/virtual,
 * and not below the PCI function of its controller. The subsystem's directory names its controllers.
 */
function multipathNamespaces(directory: string, paths: SystemPaths): string[] {
  const controllers = classMembers("nvme", directory, paths);
  return listDirectory(paths.sys("class", "nvme-subsystem")).flatMap((subsystem) => {
    const path = paths.sys("class", "nvme-subsystem", subsystem);
    const real = realPath(path);
    if (real === undefined || !controllers.some((controller) => existsPath(`${path}${sep}${controller}`))) return [];
    return classMembers("block", real, paths);
  });
}

/** In the names of devices in a folder of /dev, the kernel writes "!" for "/". */
function deviceNode(name: string, paths: SystemPaths): string {
  return paths.dev(...name.split("!"));
}
