import { linkName, listDirectory, type SystemPaths } from "../system-paths";
import { readMounts } from "./mounts";

/** Drivers of virtio devices that carry a file system, by the file system's name in mountinfo. */
const FILE_SYSTEM_DRIVERS: Readonly<Record<string, string>> = { virtiofs: "virtiofs", "9pnet_virtio": "9p" };

/** The mounted file systems that a virtio device carries. */
export function fileSystemUses(directory: string, paths: SystemPaths): string[] {
  const mounts = readMounts(paths);
  return listDirectory(directory)
    .filter((name) => name.startsWith("virtio"))
    .flatMap((name) => {
      const type = FILE_SYSTEM_DRIVERS[linkName(`${directory}/${name}/driver`) ?? ""];
      return mounts
        .filter((mount) => mount.type === type)
        .map(({ target }) => `a ${type ?? ""} file system is mounted at ${target}`);
    });
}
