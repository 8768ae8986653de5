import { readFileSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { skip } from "@vfio-selftests/harness";

/**
 * Pages of the whole machine that are pinned for devices now (nr_foll_pin_acquired less nr_foll_pin_released of
 * /proc/vmstat), whoever they count against. Only here does a page show that the kernel forgot to unpin. Skips the test
 * where the user may not make the counters exact.
 */
export function pinnedPages(): number {
  try {
    // Each processor counts by itself; reading this adds them up (mm/vmstat.c, vmstat_refresh).
    readFileSync(systemPaths.proc("sys", "vm", "stat_refresh"));
  } catch (error) {
    skip({ reason: `/proc/sys/vm/stat_refresh cannot be read (${String(error)})`, remedy: "run as root" });
  }
  const counters = readFileSync(systemPaths.proc("vmstat"), "utf8");
  const [acquired, released] = ["nr_foll_pin_acquired", "nr_foll_pin_released"].map((name) =>
    Number(new RegExp(`^${name} (\\d+)$`, "m").exec(counters)?.[1]),
  );
  return (acquired ?? NaN) - (released ?? NaN);
}
