import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";

const SWITCH = systemPaths.sys("kernel", "mm", "transparent_hugepage", "shmem_enabled");

/** Whether the kernel gives shared anonymous memory huge pages where it can. By default it gives none. */
export function hasHugeSharedMemory(): boolean {
  return /\[(always|force)\]/.test(readAttribute(SWITCH) ?? "");
}

/** Skips the test where it does not. */
export function requireHugeSharedMemory(): void {
  if (hasHugeSharedMemory()) return;
  skip({ reason: "shared memory has no huge pages on this machine", remedy: `as root: echo always > ${SWITCH}` });
}
