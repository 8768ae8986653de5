import { existsPath, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";
import { LiveUpdate } from "@vfio-selftests/iommu-modes";

/** Opens the kernel's Live Update Orchestrator. Skips the test where the kernel has none, or does not have it switched on. */
export function openLiveUpdate(): LiveUpdate {
  const path = systemPaths.dev("liveupdate");
  if (!existsPath(path)) {
    skip({
      reason: `there is no ${path}`,
      remedy:
        "vfio-selftests lab kexec, or lab run --append 'kho=on liveupdate=on'; elsewhere boot a kernel with " +
        "CONFIG_LIVEUPDATE (6.19 or newer) with these parameters",
    });
  }
  return LiveUpdate.open();
}
