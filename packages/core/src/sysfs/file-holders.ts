import { readlinkSync, realpathSync } from "node:fs";
import { listDirectory, readAttribute, type SystemPaths, systemPaths } from "./system-paths";

/** A process that has a file open. */
export interface FileHolder {
  /** The process's number. */
  readonly pid: number;
  /** The process's name. */
  readonly command: string;
}

/**
 * Processes that have `path` open, by `/proc/PID/fd`. Only root sees the processes of other users, so an empty list
 * proves nothing. `ownFd`, a descriptor of this process, does not count.
 */
export function fileHolders(path: string, paths: SystemPaths = systemPaths, ownFd = -1): FileHolder[] {
  const target = realPath(path);
  const holders: FileHolder[] = [];
  for (const entry of listDirectory(paths.proc())) {
    if (!/^\d+$/.test(entry)) continue;
    const directory = paths.proc(entry, "fd");
    const own = Number(entry) === process.pid ? String(ownFd) : undefined;
    if (!listDirectory(directory).some((fd) => fd !== own && linkTarget(`${directory}/${fd}`) === target)) continue;
    holders.push({ pid: Number(entry), command: readAttribute(paths.proc(entry, "comm")) ?? "?" });
  }
  return holders;
}

/** `held by process 4711 (qemu-system-x86)`; undefined if no holder is visible. */
export function describeHolders(path: string, paths: SystemPaths = systemPaths, ownFd = -1): string | undefined {
  const holders = fileHolders(path, paths, ownFd);
  if (holders.length === 0) return undefined;
  const shown = holders.map(({ pid, command }) =>
    pid === process.pid ? `this process (${pid})` : `process ${pid} (${command})`,
  );
  return `held by ${shown.join(", ")}`;
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
