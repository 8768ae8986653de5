import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { type LabCache, labCache, writeJson } from "../cache/cache";
import { takeCacheLock } from "../cache/cache-lock";
import { type LabHost, thisHost } from "../host/host";
import { onInterrupt } from "../host/interruption";
import { type Progress, silentProgress } from "../host/progress";
import { requireKernelImage } from "../machine/kernel-image";
import { type LabState, readLabState } from "../machine/lab-state";
import type { DebianSuites } from "./debian/debian-mirror";
import { labKernelFragment } from "./kernel/kernel-fragment";
import { Preparation, type QemuChoice } from "./preparation";
import type { MayInstall } from "./required-packages";

export interface LabSetupOptions {
  /** Prepare everything anew, with the newest packages, whatever the cache holds. */
  force?: boolean;
  /**
   * `system`: the system's own QEMU; `root`: one in a Debian root of ours; `auto` (default): the system's when it has
   * every device (10.1 or newer), else a Debian root.
   */
  qemu?: QemuChoice;
  /** Use this kernel image instead of building one. */
  kernel?: string;
  /**
   * Asked before packages that are missing are installed, which takes root. Default: they are not, and the error has the
   * command to type.
   */
  mayInstall?: MayInstall;
  /** Debian suites that QEMU and the kernel source come from. */
  suites?: DebianSuites;
  host?: LabHost;
}

export interface LabSetupResult extends LabState {
  /** False when the cache had it all. */
  readonly changed: boolean;
}

/**
 * Prepares QEMU and a kernel in the cache and boots them once. What is there already is kept, an interrupted set-up
 * goes on where it stopped, and a failed one leaves the lab that was there before.
 *
 * @throws VfioError `ENOSPC`, `ERR_LAB_TOOLS_MISSING`, `ERR_LAB_NO_MIRROR`, `ERR_LAB_NO_QEMU`,
 * `ERR_LAB_QEMU_TOO_OLD`, `ERR_LAB_NO_KERNEL_SOURCE`, `ERR_LAB_KERNEL_CONFIG`, `ERR_LAB_NO_IMAGE`,
 * `ERR_LAB_PROGRAM_FAILED`, `ERR_LAB_ARCHITECTURE`, `ERR_LAB_BOOT`, `ERR_LAB_INTERRUPTED`
 */
export async function setupLab(
  options: LabSetupOptions = {},
  progress: Progress = silentProgress,
): Promise<LabSetupResult> {
  const host = options.host ?? thisHost();
  const cache = labCache(host);
  const kernel = options.kernel === undefined ? undefined : resolve(options.kernel);
  if (kernel !== undefined) requireKernelImage(kernel);
  requireArchitecture(host);
  const choice = options.qemu ?? "auto";
  const ready = options.force === true ? undefined : readyLab(cache, choice, kernel);
  if (ready !== undefined) return { ...ready, changed: false };

  const abort = new AbortController();
  using _signals = onInterrupt((signal) => {
    abort.abort(
      new VfioError(`lab setup was ended by ${signal}`, {
        code: "ERR_LAB_INTERRUPTED",
        operation: "lab setup",
        remedy: "run it again: it goes on where it stopped",
      }),
    );
  });
  using lock = await takeCacheLock(host, cache.lock, {
    signal: abort.signal,
    onWait: (holder) => progress.step(`waiting for another set-up (${holder})`),
  });
  if (lock.waited) progress.done("it has ended");
  // The one that we waited for may have made what we want.
  const made = lock.waited ? readyLab(cache, choice, kernel) : undefined;
  if (made !== undefined) return { ...made, changed: false };

  const preparation = new Preparation(host, cache, progress, abort.signal, options);
  const lab = await preparation.prepare(choice, kernel);
  await preparation.bootOnce(lab);
  writeJson(cache.state, lab);
  preparation.prune(lab);
  return { ...lab, changed: true };
}

/** The lab of the last set-up, when it is what these options ask for. */
function readyLab(cache: LabCache, choice: QemuChoice, kernel: string | undefined): LabState | undefined {
  const state = readLabState(cache);
  if (state === undefined || !existsSync(state.kernel)) return undefined;
  if (choice !== "auto" && (choice === "system") !== (state.qemu.origin === "system")) return undefined;
  if (kernel !== undefined) return state.kernel === kernel ? state : undefined;
  return state.fragment === labKernelFragment().key ? state : undefined;
}

function requireArchitecture(host: LabHost): void {
  if (host.architecture === "x64") return;
  throw new VfioError(`the lab runs on x86-64 only; this machine is ${host.architecture}`, {
    code: "ERR_LAB_ARCHITECTURE",
    operation: "lab setup",
    remedy: "use an x86-64 machine for the lab; the models need none",
  });
}
