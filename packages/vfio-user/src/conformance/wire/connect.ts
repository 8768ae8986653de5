import { native } from "@vfio-selftests/native";

/** Connects to the Unix socket at `path`. The descriptor, which the caller owns, or `-errno`. Does not wait. */
export function connectTo(path: string): number {
  return native.unixConnect(path);
}
