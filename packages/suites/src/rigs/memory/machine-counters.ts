import { readFileSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";

/** Counters of the whole machine in /proc/vmstat, exact. NaN for one that this kernel lacks. Skips the test where the user may not. */
export function machineCounters(...names: readonly string[]): number[] {
  try {
    // Each processor counts by itself; reading this adds them up (mm/vmstat.c, vmstat_refresh).
    readFileSync(systemPaths.proc("sys", "vm", "stat_refresh"));
  } catch (error) {
    skip({ reason: `/proc/sys/vm/stat_refresh cannot be read (${String(error)})`, remedy: "run as root" });
  }
  const counters = readFileSync(systemPaths.proc("vmstat"), "utf8");
  return names.map((name) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(counters)?.[1]));
}
