import { errnoName, systemResult } from "@vfio-selftests/core/errors";
import { type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { KernelWatch, type KernelWatchOptions } from "@vfio-selftests/harness";
import type { RunTarget } from "./run-target";

/** Whether a run watches the kernel's log, and what its report says about that. */
export interface WatchDecision {
  readonly kernelLog: KernelWatchOptions | undefined;
  readonly lines: readonly string[];
}

/**
 * Chooses how a run watches the log of the kernel it runs on. On a host, a run on models does not watch it: models test
 * no kernel, and what the host's kernel reports has other causes. In the lab's VM every report counts, from the boot
 * on.
 */
export function watchOf(
  { entry, options }: Pick<RunTarget, "entry"> & { readonly options: { readonly lab: boolean } },
  paths: SystemPaths = systemPaths,
): WatchDecision {
  if (entry === "models" && !options.lab) return { kernelLog: undefined, lines: [] };
  const path = paths.dev("kmsg");
  try {
    new KernelWatch({ path })[Symbol.dispose]();
  } catch (error) {
    const why = `${path}: ${errnoName(-systemResult(error))}`;
    const remedy = "run as root, with CAP_SYSLOG, or after sysctl kernel.dmesg_restrict=0";
    return {
      kernelLog: undefined,
      lines: [`Not checked: the kernel's log is not watched (${why}; remedy: ${remedy}).`],
    };
  }
  return { kernelLog: { path, ...(options.lab && { after: "boot" as const }) }, lines: [] };
}
