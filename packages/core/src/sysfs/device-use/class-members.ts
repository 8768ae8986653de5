import { realpathSync } from "node:fs";
import { sep } from "node:path";
import { listDirectory, type SystemPaths } from "../system-paths";

/** Names in /sys/class/CLASS whose device lies below `directory`, a real path. */
export function classMembers(className: string, directory: string, paths: SystemPaths): string[] {
  return listDirectory(paths.sys("class", className)).filter((name) =>
    realPath(paths.sys("class", className, name))?.startsWith(directory + sep),
  );
}

export function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
