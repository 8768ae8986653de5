import { KernelLog, skip } from "@vfio-selftests/harness";

/** The kernel's log from now on. Skips where this user may not read it. */
export function openKernelLog(): KernelLog {
  try {
    return new KernelLog();
  } catch (error) {
    skip({ reason: `the kernel's log cannot be read (${String(error)})`, remedy: "run as root" });
  }
}
