import { VfioError } from "@vfio-selftests/core";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Writable } from "node:stream";
import { openAptWorkspace, type AptWorkspace } from "./debian/apt-workspace";
import { labCache, writeJson, type LabCache } from "../cache/cache";
import { takeLock } from "../cache/cache-lock";
import { DEFAULT_SUITES, requireMirrors, type DebianSuites } from "./debian/debian-mirror";
import { DEBIAN_ROOT_BYTES, makeDebianRoot } from "./debian/debian-root";
import { requireDiskSpace } from "../host/disk-space";
import { thisHost, type LabHost } from "../host/host";
import { onInterrupt } from "../host/interruption";
import { buildKernel, builtKernel, KERNEL_BUILD_BYTES, type BuiltKernel } from "./kernel/kernel-build";
import { labKernelFragment } from "./kernel/kernel-fragment";
import { fetchKernelSource, newestKernelSource } from "./kernel/kernel-source";
import { readLabState, requireKernelImage, type LabState } from "../cache/lab-state";
import { silentProgress, type Progress } from "../host/progress";
import { COMPLETE_QEMU, debianRootQemu, OLDEST_QEMU, systemQemu, type Qemu } from "../machine/qemu";
import { KERNEL_BUILD_REQUIREMENTS, QEMU_ROOT_REQUIREMENTS, requirePackages } from "./required-packages";
import { runInLab } from "../guest/run";
import { versionText } from "../host/version";

export interface LabSetupOptions {
  /** Prepare everything anew, with the newest packages, whatever the cache holds. */
  force?: boolean;
  /**
   * `system`: the system's own QEMU; `root`: one in a Debian root of ours; `auto` (default): the system's when it has
   * every device (10.1 or newer), else a Debian root.
   */
  qemu?: "auto" | "system" | "root";
  /** Use this kernel image instead of building one. */
  kernel?: string;
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
 * @throws VfioError `ENOSPC`, `ERR_LAB_BUSY`, `ERR_LAB_TOOLS_MISSING`, `ERR_LAB_NO_MIRROR`, `ERR_LAB_NO_QEMU`,
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
  using _lock = takeLock(cache.lock);
  const setup = new Setup(host, cache, progress, abort.signal, options);
  const qemu = await setup.qemu(choice);
  const lab: LabState = kernel === undefined ? { qemu, ...(await setup.kernel()) } : { qemu, kernel };
  await setup.bootOnce(lab);
  writeJson(cache.state, lab);
  setup.prune(lab);
  return { ...lab, changed: true };
}

/** The lab of the last set-up, when it is what these options ask for. */
function readyLab(
  cache: LabCache,
  choice: "auto" | "system" | "root",
  kernel: string | undefined,
): LabState | undefined {
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

function describeKernel({ name, lost }: BuiltKernel): string {
  if (lost.length === 0) return name;
  return `${name}, which does not take ${lost.map((option) => `${option.name}=${option.value}`).join(", ")}`;
}

class Setup {
  readonly #host: LabHost;
  readonly #cache: LabCache;
  readonly #progress: Progress;
  readonly #signal: AbortSignal;
  readonly #suites: DebianSuites;
  readonly #force: boolean;
  #apt: AptWorkspace | undefined;

  constructor(host: LabHost, cache: LabCache, progress: Progress, signal: AbortSignal, options: LabSetupOptions) {
    this.#host = host;
    this.#cache = cache;
    this.#progress = progress;
    this.#signal = signal;
    this.#suites = options.suites ?? DEFAULT_SUITES;
    this.#force = options.force ?? false;
  }

  async qemu(choice: "auto" | "system" | "root"): Promise<Qemu> {
    this.#progress.step("QEMU");
    if (choice !== "root") {
      try {
        const found = await systemQemu(this.#host, choice === "system" ? OLDEST_QEMU : COMPLETE_QEMU);
        this.#progress.done(`the system's ${versionText(found.version)}`);
        return found;
      } catch (error) {
        if (choice === "system") throw error;
        this.#progress.detail(error instanceof Error ? error.message : "");
      }
    }
    if (!this.#force && existsSync(this.#cache.qemuRoot)) {
      try {
        const kept = await debianRootQemu(this.#host, this.#cache.qemuRoot);
        this.#progress.done(`${versionText(kept.version)}, there already`);
        return kept;
      } catch {
        // Damaged: made anew
      }
    }
    requireMirrors(this.#host, "QEMU");
    requireDiskSpace(this.#host, this.#cache.folder, DEBIAN_ROOT_BYTES, "QEMU in a Debian root");
    await requirePackages(this.#host, QEMU_ROOT_REQUIREMENTS, "making a Debian root for QEMU", this.#following());
    const made = await makeDebianRoot(this.#host, this.#cache.qemuRoot, await this.#openApt(), this.#suites, {
      ...this.#following(),
      logFile: join(this.#cache.work, "mmdebstrap.log"),
    });
    this.#progress.done(`${versionText(made.version)} in a Debian root`);
    return made;
  }

  async kernel(): Promise<{ kernel: string; fragment: string }> {
    this.#progress.step("kernel");
    const fragment = labKernelFragment();
    const kept = this.#force ? undefined : builtKernel(this.#cache.kernels, fragment);
    if (kept !== undefined) {
      this.#progress.done(`${describeKernel(kept)}, there already`);
      return { kernel: kept.image, fragment: fragment.key };
    }
    requireMirrors(this.#host, "the kernel source");
    requireDiskSpace(this.#host, this.#cache.folder, KERNEL_BUILD_BYTES, "building the kernel");
    await requirePackages(this.#host, KERNEL_BUILD_REQUIREMENTS, "building the kernel", this.#following());
    const apt = await this.#openApt();
    const newest = await newestKernelSource(this.#host, apt, this.#following());
    this.#progress.done(`the newest is ${newest.version}`);
    this.#progress.step("kernel source");
    const source = await fetchKernelSource(this.#host, apt, newest, this.#cache.work, this.#following());
    this.#progress.done(newest.package);
    this.#progress.step("kernel build");
    const built = await buildKernel(this.#host, source, fragment, this.#cache, this.#following());
    this.#progress.done(describeKernel(built));
    return { kernel: built.image, fragment: fragment.key };
  }

  /** A set-up is done when the VM has booted, bound a device to vfio-pci and run a command. */
  async bootOnce(lab: LabState): Promise<void> {
    this.#progress.step("first boot");
    let output = "";
    const collect = new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        output += chunk.toString();
        callback();
      },
    });
    const result = await runInLab({
      host: this.#host,
      lab,
      command: ["sh", "-c", 'test -n "$VFIO_SELFTESTS_BDF" && uname -r'],
      cwd: "/",
      stdout: collect,
      stderr: collect,
      timeoutMs: 60_000,
    });
    this.#signal.throwIfAborted();
    if (result.exitCode !== 0) {
      throw new VfioError(`the VM booted but does not work: status ${result.exitCode}\n${output}`, {
        code: "ERR_LAB_BOOT",
        operation: "lab setup",
        subject: lab.kernel,
        remedy: `see the guest's console: ${result.consoleLog}`,
      });
    }
    this.#progress.done(`Linux ${output.trim()}, up in ${(result.bootMs / 1000).toFixed(1)} s`);
  }

  /** Removes unfinished work and the kernels that nothing uses any more. */
  prune(lab: LabState): void {
    rmSync(this.#cache.work, { recursive: true, force: true });
    if (lab.fragment === undefined) return;
    for (const name of readdirSync(this.#cache.kernels)) {
      if (join(this.#cache.kernels, name) !== dirname(lab.kernel)) {
        rmSync(join(this.#cache.kernels, name), { recursive: true, force: true });
      }
    }
  }

  async #openApt(): Promise<AptWorkspace> {
    this.#apt ??= await openAptWorkspace(
      this.#host,
      join(this.#cache.work, "apt"),
      requireMirrors(this.#host, "QEMU and the kernel source"),
      this.#suites,
      this.#following(),
    );
    return this.#apt;
  }

  #following(): { signal: AbortSignal; onLine: (line: string) => void } {
    return {
      signal: this.#signal,
      onLine: (line) => {
        this.#progress.detail(line.trim());
      },
    };
  }
}
