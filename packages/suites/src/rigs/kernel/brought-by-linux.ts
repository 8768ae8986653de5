import { release } from "node:os";
import { skip } from "@vfio-selftests/harness";

/** What tests need of the kernel and older ones lack: the version that brought it. From the kernel's history. */
const BROUGHT_BY = {
  IOMMU_IOAS_MAP_FILE: "6.13",
  VFIO_DEVICE_BIND_FLAG_TOKEN: "6.17",
  "vfio-device-syspath in /proc/PID/fdinfo": "6.18",
  VFIO_DEVICE_FEATURE_DMA_BUF: "6.19",
  VFIO_DEVICE_ATTACH_PASID: "6.15",
  IOMMU_HW_INFO_FLAG_INPUT_TYPE: "6.17",
  // From here on at the latest: 6.12 lacks them, and 7.3 has them.
  VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2: "7.3",
  IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED: "7.3",
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
export function requireBrought(what: Brought, has: () => boolean, kernel = release()): void {
  const version = BROUGHT_BY[what];
  if (!isOlderThan(version, kernel) || has()) return;
  skip({ reason: `Linux ${kernel} has no ${what}`, remedy: `use Linux ${version} or newer` });
}
