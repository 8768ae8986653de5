import { release } from "node:os";
import { skip } from "@vfio-selftests/harness";

/** What tests need of the kernel and older ones lack: the version that brought it. From the kernel's history. */
const BROUGHT_BY = {
  IOMMU_IOAS_MAP_FILE: "6.13",
  VFIO_DEVICE_BIND_FLAG_TOKEN: "6.17",
  "vfio-device-syspath in /proc/PID/fdinfo": "6.18",
  "EOVERFLOW for a DMA map beyond 64 bits": "6.18",
  VFIO_DEVICE_FEATURE_DMA_BUF: "6.19",
  VFIO_DEVICE_ATTACH_PASID: "6.15",
  // At the latest: 6.12 lacks it.
  "parameters of vfio-pci that hold from the binding of a device": "7.3",
} as const;

export type Brought = keyof typeof BROUGHT_BY;

/** Whether a kernel is older than a version: `6.12.9` than `6.17`. */
export function isOlderThan(version: string, kernel = release()): boolean {
  const [wanted = [], found = []] = [version, kernel].map((each) => each.split(/[.-]/, 2).map(Number));
  const [major = 0, minor = 0] = found;
  const [wantedMajor = 0, wantedMinor = 0] = wanted;
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}

/**
 * Skips the test where the kernel answers that it lacks something, and is older than the version that brought it. A younger kernel
 * that answers so has lost it: the test runs there, and fails. It also runs on an older kernel into which a distribution took it.
 */
export function requireBrought(what: Brought, has: () => boolean): void {
  const version = BROUGHT_BY[what];
  if (!isOlderThan(version) || has()) return;
  skip({ reason: `Linux ${release()} has no ${what}`, remedy: `use Linux ${version} or newer` });
}
