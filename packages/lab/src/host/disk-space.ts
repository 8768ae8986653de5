import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import type { LabHost } from "./host";

const MIB = 1024 * 1024;

/**
 * Throws ENOSPC when the file system that holds (or will hold) `folder` has less than `bytes` free. Creates nothing.
 */
export function requireDiskSpace(host: LabHost, folder: string, bytes: number, purpose: string): void {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const free = host.freeBytes(existing);
  if (free >= bytes) return;
  const needed = Math.ceil(bytes / MIB);
  const available = Math.floor(free / MIB);
  throw new VfioError(
    `not enough disk space for ${purpose}: ${needed} MiB needed, ${available} MiB free at ${existing}`,
    {
      code: "ENOSPC",
      operation: "lab setup",
      subject: folder,
      remedy: `free ${needed - available} MiB there, or set XDG_CACHE_HOME to a folder on a larger disk`,
    },
  );
}
