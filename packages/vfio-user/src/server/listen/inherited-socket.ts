import { fstatSync, readFileSync } from "node:fs";
import { argumentError } from "@vfio-selftests/core/errors";

/** linux/net.h. */
const SO_ACCEPTCON = 0x10000;
const SOCK_STREAM = 1;

/**
 * What an inherited descriptor is: a socket that clients connect to, or the connection of one client. Throws
 * ERR_INVALID_ARGUMENT if it is neither.
 */
export function inheritedSocket(fd: number): "listening" | "connected" {
  const [flags, type] = socketEntry(fd) ?? [];
  if (flags === undefined || type !== SOCK_STREAM) {
    throw argumentError("serve", "fd", fd, "the descriptor of a Unix stream socket, listening or connected");
  }
  return (flags & SO_ACCEPTCON) !== 0 ? "listening" : "connected";
}

/** Flags and type of a Unix socket, from /proc/net/unix (proc_net_unix(5)). Node cannot read socket options. */
function socketEntry(fd: number): [flags: number, type: number] | undefined {
  let inode;
  try {
    const stat = fstatSync(fd);
    if (!stat.isSocket()) return undefined;
    inode = String(stat.ino);
  } catch {
    return undefined;
  }
  for (const line of readFileSync("/proc/net/unix", "utf8").split("\n")) {
    const [, , , flags, type, , entry] = line.trim().split(/\s+/);
    if (entry === inode) return [parseInt(flags ?? "", 16), parseInt(type ?? "", 16)];
  }
  return undefined;
}
