import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import { DEFAULT_ARCHITECTURE, parseArchitecture } from "../architecture/architecture";
import type { LabArchitecture } from "../architecture/lab-architecture";
import { type LabCache, labCache, writeJson } from "../cache/cache";
import { takeCacheLock } from "../cache/cache-lock";
import { type LabHost, thisHost } from "../host/host";
import { onInterrupt } from "../host/interruption";
import { type Progress, silentProgress } from "../host/progress";
import { requireKernel } from "../machine/kernel/required-kernel";
import { type LabState, readLabState } from "../machine/lab-state";
import type { DebianSuites } from "./debian/debian-mirror";
import { guestRootRecipe, isGuestRoot } from "./guest/guest-root";
import type { KeptBuild } from "./kernel/kept-builds";
import { labKernelFragment } from "./kernel/kernel-fragment";
import type { KernelChoice } from "./kernel/kernel-recipe";
import { requireKernelTree } from "./kernel/kernel-tree";
import { kernelVariants } from "./kernel/kernel-variants";
import type { SourcePatch } from "./kernel/patched-source";
import { Preparation, type QemuChoice } from "./preparation";
import type { MayInstall } from "./required-packages";

/** What the set-up prepares, and from where. */
export interface LabSetupOptions {
  /** The CPU of the VM, by its name among `LAB_ARCHITECTURES`. Default: `x86_64`. */
  arch?: LabArchitecture["name"];
  /** Prepares everything anew, with the newest packages, whatever the cache holds. */
  force?: boolean;
  /**
   * `system`: the system's own QEMU. `root`: one in a Debian root of ours. `auto` (default): the system's when it is
   * 10.1 or newer, else a Debian root.
   */
  qemu?: QemuChoice;
  /** A kernel to use instead of building one: an image, or the kernel tree or build folder that has one. */
  kernel?: string;
  /** Takes `kernel` even if its configuration is known to lack what the lab needs. Default: it is refused. */
  anyConfig?: boolean;
  /** The folder of `kernel`'s modules for the first boot, as for `LabMachineOptions`. */
  modules?: string;
  /**
   * Decides whether to install missing packages, which takes root. Default: no, and the error has the command to type.
   */
  mayInstall?: MayInstall;
  /** Debian suites that QEMU and the kernel source come from. */
  suites?: DebianSuites;
  /** The machine. Default: this one. */
  host?: LabHost;
}

/** The prepared lab. */
export interface LabSetupResult extends LabState {
  /** False when the cache had everything. */
  readonly changed: boolean;
}

/**
 * Prepares QEMU and a kernel in the cache and boots them once. It keeps what is there already. An interrupted set-up
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
  const architecture = options.arch === undefined ? DEFAULT_ARCHITECTURE : parseArchitecture(options.arch);
  const cache = labCache(host, architecture);
  const demands = { hasModules: options.modules !== undefined, anyConfig: options.anyConfig };
  const kernel =
    options.kernel === undefined ? undefined : resolve(requireKernel(options.kernel, architecture, demands));
  requireArchitecture(host);
  const choice = options.qemu ?? "auto";
  const ready = options.force === true ? undefined : readyLab(host, cache, architecture, choice, kernel);
  if (ready !== undefined) return { ...ready, changed: false };

  return exclusively(host, cache, progress, async (signal, waited) => {
    // The set-up that we waited for may have made what we want.
    const made = waited ? readyLab(host, cache, architecture, choice, kernel) : undefined;
    if (made !== undefined) return { ...made, changed: false };
    const preparation = new Preparation(host, cache, progress, signal, { ...options, architecture });
    const lab = await preparation.prepare(choice, kernel);
    await preparation.bootOnce(lab, { modules: options.modules });
    writeJson(cache.state, lab);
    preparation.prune(lab);
    return { ...lab, changed: true };
  });
}

/** Which kernel to build. */
export interface LabBuildOptions
  extends Omit<LabSetupOptions, "kernel" | "modules" | "anyConfig" | "arch">, KernelChoice {
  /** A change of the source, which each build makes first. */
  patch?: SourcePatch;
}

/**
 * Builds a kernel of the user's choice beside the lab's own one, and boots it once. It keeps the build folder, so that
 * the next build compiles only what has changed. `lab run` uses this kernel on request. The lab's own kernel does not
 * change.
 *
 * @throws VfioError as `setupLab`, and `ERR_INVALID_ARGUMENT`, `ERR_LAB_KERNEL_TREE`
 */
export async function buildLabKernel(
  options: LabBuildOptions,
  progress: Progress = silentProgress,
): Promise<KeptBuild> {
  const host = options.host ?? thisHost();
  const cache = labCache(host);
  kernelVariants(options.variants);
  if (options.tree !== undefined) requireKernelTree(options.tree);
  if (options.tree !== undefined && options.patch !== undefined) {
    throw argumentError("lab setup", "patch", options.patch.name, "with Debian's sources only");
  }
  requireArchitecture(host);
  return exclusively(host, cache, progress, async (signal) => {
    const preparation = new Preparation(host, cache, progress, signal, options);
    const state = readLabState(cache);
    const qemu = state?.qemu ?? (await preparation.prepareQemu(options.qemu ?? "auto"));
    const built = await preparation.buildChosen(options);
    const lab = { qemu, kernel: built.image, fragment: built.key };
    await preparation.bootOnce(lab, { built });
    // Later runs find QEMU by the state. The key is not the lab's own kernel's, which a run without a choice will
    // build.
    if (state === undefined) writeJson(cache.state, lab);
    preparation.pruneBuilds(built);
    return built;
  });
}

/** Works while no other set-up changes the cache. An interrupt ends the work. */
async function exclusively<Result>(
  host: LabHost,
  cache: LabCache,
  progress: Progress,
  work: (signal: AbortSignal, waited: boolean) => Promise<Result>,
): Promise<Result> {
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
  return await work(abort.signal, lock.waited);
}

/** The lab of the last set-up, if it is what these options ask for. */
function readyLab(
  host: LabHost,
  cache: LabCache,
  architecture: LabArchitecture,
  choice: QemuChoice,
  kernel: string | undefined,
): LabState | undefined {
  const state = readLabState(cache);
  if (state === undefined || !existsSync(state.kernel)) return undefined;
  if (choice !== "auto" && (choice === "system") !== (state.qemu.origin === "system")) return undefined;
  if (state.guestRoot !== undefined && !isGuestRoot(state.guestRoot, guestRootRecipe(architecture, host)))
    return undefined;
  if (kernel !== undefined) return state.kernel === kernel ? state : undefined;
  return state.fragment === labKernelFragment(architecture).key ? state : undefined;
}

function requireArchitecture(host: LabHost): void {
  if (host.architecture === "x64") return;
  throw new VfioError(`the lab runs on x86-64 only; this machine is ${host.architecture}`, {
    code: "ERR_LAB_ARCHITECTURE",
    operation: "lab setup",
    remedy: "use an x86-64 machine for the lab; the models need none",
  });
}
