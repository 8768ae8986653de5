import { existsPath, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";

/** Skips the test on a kernel without iommufd. */
export function requireIommufd(): void {
  const file = systemPaths.dev("iommu");
  if (existsPath(file)) return;
  skip({ reason: `${file} is not there`, remedy: "use Linux 6.2 or newer with CONFIG_IOMMUFD: modprobe iommufd" });
}
