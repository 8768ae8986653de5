import { existsSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Writable } from "node:stream";
import { VfioError } from "@vfio-selftests/core";
import { DEFAULT_ARCHITECTURE } from "../architecture/architecture";
import type { LabArchitecture } from "../architecture/lab-architecture";
import type { LabCache } from "../cache/cache";
import { usesApt } from "../distribution/distribution";
import { runInLab } from "../guest/run";
import { requireDiskSpace } from "../host/disk-space";
import type { LabHost } from "../host/host";
import type { Progress } from "../host/progress";
import { atLeast, versionText } from "../host/version";
import { LAB_DEFAULTS, type LabMachineOptions } from "../machine/lab-machine";
import type { LabState } from "../machine/lab-state";
import { COMPLETE_QEMU, debianRootQemu, OLDEST_QEMU, type Qemu, systemQemu } from "../machine/qemu";
import { aptArchive } from "./debian/apt-archive";
import { type AptWorkspace, openAptWorkspace } from "./debian/apt-workspace";
import type { DebianArchive } from "./debian/debian-archive";
import { chosenMirrors, type DebianSuites, DEFAULT_SUITES } from "./debian/debian-mirror";
import { DEBIAN_ROOT_BYTES, makeDebianRoot } from "./debian/debian-root";
import { SignedArchive } from "./debian/signed-archive";
import {
  GUEST_ROOT_BYTES,
  type GuestRootRecipe,
  guestRootRecipe,
  isGuestRoot,
  makeGuestRoot,
} from "./guest/guest-root";
import { type BuiltKernel, builtKernel, describeBuilt, keepNewest } from "./kernel/built-kernels";
import { type KeptBuild, placesOf, recordBuild, removeUnusedSources, requireKeptBuild } from "./kernel/kept-builds";
import { buildKernel, type BuildPlaces, KERNEL_BUILD_BYTES } from "./kernel/kernel-build";
import type { LostOption } from "./kernel/kernel-config";
import { type KernelFragment, labKernelFragment } from "./kernel/kernel-fragment";
import { chosenRecipe, type KernelChoice, type KernelRecipe } from "./kernel/kernel-recipe";
import { fetchKernelSource, keptKernelSource, type KernelSource, newestKernelSource } from "./kernel/kernel-source";
import { requireKernelTree } from "./kernel/kernel-tree";
import { labPatch } from "./kernel/lab-patches";
import { patchedSource, type SourcePatch } from "./kernel/patched-source";
import {
  archiveRequirements,
  GUEST_ROOT_REQUIREMENTS,
  kernelBuildRequirements,
  type MayInstall,
  QEMU_ROOT_REQUIREMENTS,
  requireApt,
  requirePackages,
} from "./required-packages";

export type QemuChoice = "auto" | "system" | "root";

/** How many kernels the cache keeps, of 5 MB each. */
const KERNELS_KEPT = 4;
/** How many kernels with build folders it keeps, of 300 MB each, or some GB with debug information. */
const BUILDS_KEPT = 6;

export interface PreparationOptions {
  readonly force?: boolean;
  readonly mayInstall?: MayInstall;
  readonly suites?: DebianSuites;
  /** Default: x86_64. */
  readonly architecture?: LabArchitecture;
}

/** What the first boot needs beside the lab. */
interface FirstBoot {
  readonly built?: Pick<KeptBuild, "parameters" | "slowdown">;
  /** The folder of the kernel's modules. */
  readonly modules?: string | undefined;
}

/** The tree that is built. A build may apply its patch again. */
interface BuildSource {
  readonly tree: string;
  readonly version?: string;
  readonly patched?: { readonly origin: KernelSource; readonly patch: SourcePatch };
}

/** The steps of a set-up. The caller holds the lock of the cache. */
export class Preparation {
  readonly #host: LabHost;
  readonly #cache: LabCache;
  readonly #progress: Progress;
  readonly #signal: AbortSignal;
  readonly #suites: DebianSuites;
  readonly #force: boolean;
  readonly #mayInstall: MayInstall | undefined;
  readonly #architecture: LabArchitecture;
  #apt: AptWorkspace | undefined;

  constructor(host: LabHost, cache: LabCache, progress: Progress, signal: AbortSignal, options: PreparationOptions) {
    this.#host = host;
    this.#cache = cache;
    this.#progress = progress;
    this.#signal = signal;
    this.#suites = options.suites ?? DEFAULT_SUITES;
    this.#force = options.force ?? false;
    this.#mayInstall = options.mayInstall;
    this.#architecture = options.architecture ?? DEFAULT_ARCHITECTURE;
  }

  /** Makes what is missing. It checks all that it can before it fetches anything. */
  async prepare(choice: QemuChoice, image: string | undefined): Promise<LabState> {
    const foundQemu = await this.#findQemu(choice);
    const fragment = labKernelFragment(this.#architecture);
    const foundKernel = image === undefined ? this.#findKernel(fragment) : undefined;
    const buildsKernel = image === undefined && foundKernel === undefined;
    const root = this.#guestRoot();
    await this.#requireMeans({ qemu: foundQemu === undefined, kernel: buildsKernel, guest: root?.isMissing === true });
    const qemu = foundQemu ?? (await this.#makeQemu());
    if (root?.isMissing === true) await this.#makeGuestRoot(root.recipe);
    const guest = root === undefined ? {} : { guestRoot: this.#cache.guestRoot };
    if (image !== undefined) return { qemu, kernel: image, ...guest };
    const kernel = foundKernel ?? (await this.#makeKernel(fragment));
    return { qemu, kernel: kernel.image, fragment: fragment.key, ...guest };
  }

  /** QEMU, which it makes when there is none. */
  async prepareQemu(choice: QemuChoice): Promise<Qemu> {
    const found = await this.#findQemu(choice);
    if (found !== undefined) return found;
    await this.#requireMeans({ qemu: true });
    return this.#makeQemu();
  }

  /** Builds the chosen kernel, incrementally when it was built before. Its build folder stays. */
  async buildChosen(choice: KernelChoice & { patch?: SourcePatch | undefined }): Promise<KeptBuild> {
    const tree = choice.tree === undefined ? undefined : requireKernelTree(choice.tree);
    const kept = this.#force ? undefined : keptKernelSource(this.#cache.sources);
    await this.#requireMeans({ kernel: true }, tree === undefined && kept === undefined);
    const labs = labPatch();
    const source: BuildSource =
      tree === undefined
        ? await this.#patch(kept ?? (await this.#fetchSource(this.#cache.sources)), choice.patch ?? labs)
        : { tree };
    const recipe = chosenRecipe(choice, source);
    this.#progress.step(`kernel build in ${recipe.tree}`);
    // The record comes before the build, so that nobody takes the sources for unused, even after an interrupt.
    recordBuild(this.#cache, recipe, choice.variants);
    const lost = await this.#buildWith(recipe, placesOf(this.#cache, recipe), source);
    this.#progress.done(`${describeKernel({ name: recipe.name, lost })}${describeLeftOut(labs)}`);
    return requireKeptBuild(this.#cache, choice);
  }

  /** Builds, and repeats that as long as the patch can mend a failure. */
  async #buildWith(recipe: KernelRecipe, places: BuildPlaces, { patched }: BuildSource): Promise<LostOption[]> {
    const mend = patched?.patch.afterFailure?.bind(patched.patch);
    const keepGoing = mend === undefined ? [] : ["--keep-going"];
    const mendable = { ...recipe, makeVariables: [...recipe.makeVariables, ...keepGoing] };
    for (;;) {
      try {
        return await buildKernel(this.#host, mendable, places, this.#following());
      } catch (error) {
        const failed = error instanceof VfioError && error.code === "ERR_LAB_PROGRAM_FAILED";
        if (!failed || patched === undefined || mend?.(readFileSync(places.log, "utf8")) !== true) throw error;
        await this.#patch(patched.origin, patched.patch);
      }
    }
  }

  async #patch(origin: KernelSource, patch: SourcePatch): Promise<BuildSource> {
    const { folder, version } = await patchedSource(this.#host, origin, patch, this.#following());
    return { tree: folder, version, patched: { origin, patch } };
  }

  async #findQemu(choice: QemuChoice): Promise<Qemu | undefined> {
    this.#progress.step("QEMU");
    // Without apt there can be no Debian root. There an older QEMU of the system's is better than none.
    const canMakeRoot = usesApt(this.#host);
    const mustServe = choice === "system" || (choice === "auto" && !canMakeRoot);
    if (choice !== "root") {
      try {
        const found = await systemQemu(this.#host, mustServe ? OLDEST_QEMU : COMPLETE_QEMU, this.#architecture);
        const lacks = atLeast(found.version, COMPLETE_QEMU) ? "" : ", which lacks vfio-user-pci";
        this.#progress.done(`the system's ${versionText(found.version)}${lacks}`);
        return found;
      } catch (error) {
        if (mustServe) throw error;
      }
    }
    if (!this.#force && existsSync(this.#cache.qemuRoot)) {
      try {
        const kept = await debianRootQemu(this.#host, this.#cache.qemuRoot, this.#architecture);
        this.#progress.done(`${versionText(kept.version)}, there already`);
        return kept;
      } catch {
        // It is damaged, and will be made anew.
      }
    }
    this.#progress.done("in a Debian root, which is to be made");
    return undefined;
  }

  #findKernel(fragment: KernelFragment): BuiltKernel | undefined {
    this.#progress.step("kernel");
    const kept = this.#force ? undefined : builtKernel(this.#cache.kernels, fragment, this.#architecture.kernel);
    this.#progress.done(kept === undefined ? "to be built" : `${describeKernel(kept)}, there already`);
    return kept;
  }

  /** Checks what the set-up needs of the machine: disk space, programs. */
  async #requireMeans(makes: { qemu?: boolean; kernel?: boolean; guest?: boolean }, fetches = true): Promise<void> {
    const kernelRequirements = kernelBuildRequirements(this.#architecture);
    const wanted = [
      { isWanted: makes.qemu, what: "QEMU", bytes: DEBIAN_ROOT_BYTES, requirements: QEMU_ROOT_REQUIREMENTS },
      { isWanted: makes.kernel, what: "a kernel", bytes: KERNEL_BUILD_BYTES, requirements: kernelRequirements },
      {
        isWanted: makes.guest,
        what: "the guest's programs",
        bytes: GUEST_ROOT_BYTES,
        requirements: GUEST_ROOT_REQUIREMENTS,
      },
    ].filter(({ isWanted }) => isWanted === true);
    if (wanted.length === 0) return;
    const purpose = `making ${wanted.map(({ what }) => what).join(" and ")}`;
    const mirrors = fetches ? chosenMirrors(this.#host) : [];
    if (makes.qemu === true || makes.guest === true) requireApt(this.#host, purpose, this.#architecture);
    const bytes = wanted.reduce((sum, part) => sum + part.bytes, 0);
    requireDiskSpace(this.#host, this.#cache.folder, bytes, purpose);
    const fetching = fetches ? archiveRequirements(this.#host, mirrors) : [];
    const requirements = [...wanted.flatMap((part) => part.requirements), ...fetching];
    await requirePackages(this.#host, requirements, purpose, { ...this.#following(), mayInstall: this.#mayInstall });
  }

  async #makeQemu(): Promise<Qemu> {
    this.#progress.step("QEMU in a Debian root");
    const made = await makeDebianRoot(
      this.#host,
      this.#cache.qemuRoot,
      await this.#openApt(),
      this.#suites,
      {
        ...this.#following(),
        logFile: join(this.#cache.work, "mmdebstrap.log"),
      },
      this.#architecture,
    );
    this.#progress.done(versionText(made.version));
    return made;
  }

  /** The tree for a guest whose CPU does not run the host's programs. Undefined where the host's tree serves. */
  #guestRoot(): { recipe: GuestRootRecipe; isMissing: boolean } | undefined {
    if (this.#architecture.node === this.#host.architecture) return undefined;
    const recipe = guestRootRecipe(this.#architecture, this.#host);
    return { recipe, isMissing: this.#force || !isGuestRoot(this.#cache.guestRoot, recipe) };
  }

  async #makeGuestRoot(recipe: GuestRootRecipe): Promise<void> {
    this.#progress.step("the guest's programs");
    const apt = await this.#openApt();
    await makeGuestRoot(this.#host, this.#cache.guestRoot, recipe, this.#architecture, apt, this.#suites, {
      ...this.#following(),
      logFile: join(this.#cache.work, "guest-root.log"),
    });
    this.#progress.done(recipe.npm.map(({ name, version }) => `${name} ${version}`).join(", "));
  }

  /** Makes the lab's own kernel. It keeps neither the source nor the build folder. */
  async #makeKernel(fragment: KernelFragment): Promise<BuiltKernel> {
    const { work, kernels } = this.#cache;
    const source = await this.#fetchSource(work);
    const patch = labPatch();
    const patched = await this.#patch(source, patch);
    this.#progress.step("kernel build");
    const name = `${source.version}-${fragment.key}`;
    const places = {
      build: join(work, `build-${name}`),
      kernel: join(kernels, name),
      log: join(work, "kernel-build.log"),
      lock: join(work, "build.lock"),
    };
    const architecture = this.#architecture.kernel;
    const recipe = { name, tree: patched.tree, fragment, makeVariables: [], isShared: true, architecture };
    await this.#buildWith(recipe, places, patched);
    const built = describeBuilt(name, places.kernel, fragment, architecture);
    this.#progress.done(`${describeKernel(built)}${describeLeftOut(patch)}`);
    return built;
  }

  async #fetchSource(folder: string): Promise<KernelSource> {
    this.#progress.step("kernel source");
    const archive = await this.#openArchive();
    const newest = await newestKernelSource(archive);
    const source = await fetchKernelSource(this.#host, archive, newest, folder, this.#following());
    this.#progress.done(`the newest, ${newest.package} ${newest.version}`);
    return source;
  }

  /** Proves the set-up: the VM boots, binds a device to vfio-pci and runs a command. */
  async bootOnce(lab: LabState, { built, modules }: FirstBoot = {}): Promise<void> {
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
      arch: this.#architecture.name,
      command: ["sh", "-c", 'test -n "$VFIO_SELFTESTS_BDF" && uname -r'],
      cwd: "/",
      stdout: collect,
      stderr: collect,
      timeoutMs: 60_000 * (built?.slowdown ?? 1),
      ...machineOf(built),
      ...(modules === undefined ? {} : { modules }),
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

  /** Removes unfinished work, and the kernels that no set-up has used for long. Two checkouts may want one each. */
  prune(lab: LabState): void {
    rmSync(this.#cache.work, { recursive: true, force: true });
    if (lab.fragment === undefined) return;
    keepNewest(this.#cache.kernels, basename(dirname(lab.kernel)), KERNELS_KEPT);
  }

  /** Removes the kernels with build folders whose last build is longest ago, and the sources that none needs. */
  pruneBuilds({ name }: KeptBuild): void {
    keepNewest(this.#cache.builds, name, BUILDS_KEPT);
    removeUnusedSources(this.#cache);
  }

  async #openArchive(): Promise<DebianArchive> {
    if (usesApt(this.#host)) return aptArchive(this.#host, await this.#openApt(), this.#following());
    const [mirror] = chosenMirrors(this.#host);
    return new SignedArchive(this.#host, mirror, this.#suites, join(this.#cache.work, "lists"), this.#following());
  }

  async #openApt(): Promise<AptWorkspace> {
    this.#apt ??= await openAptWorkspace(
      this.#host,
      join(this.#cache.work, "apt"),
      chosenMirrors(this.#host),
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

/** What a kept kernel demands of the VM that boots it. */
function machineOf(built: Pick<KeptBuild, "parameters" | "slowdown"> | undefined): Partial<LabMachineOptions> {
  if (built === undefined) return {};
  return { kernelParameters: built.parameters, bootTimeoutMs: LAB_DEFAULTS.bootTimeoutMs * built.slowdown };
}

function describeKernel({ name, lost }: Pick<BuiltKernel, "name" | "lost">): string {
  if (lost.length === 0) return name;
  return `${name}, which does not take ${lost.map((option) => `${option.name}=${option.value}`).join(", ")}`;
}

function describeLeftOut({ leftOut }: ReturnType<typeof labPatch>): string {
  return leftOut.map((name) => `, without the lab's patch ${name}, which does not fit this source`).join("");
}
