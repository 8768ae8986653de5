import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { argumentError, VfioError } from "@vfio-selftests/core/errors";
import {
  DEFAULT_ARCHITECTURE,
  type KeptBuild,
  LAB_DEFAULTS,
  type LabArchitecture,
  labCache,
  type LabMachineOptions,
  requireKeptBuild,
  thisHost,
} from "@vfio-selftests/lab";

/** The kernel to use, as the command line names it. */
export interface KernelOptions {
  readonly arch?: LabArchitecture["name"];
  readonly kernel?: string;
  /** Names of variants. */
  readonly with?: readonly string[];
  /** A kernel tree. */
  readonly source?: string;
}

/** Whether the options name a kernel that `lab setup --with` or `--source` builds. */
export function choosesBuild({ with: variants, source }: KernelOptions): boolean {
  return variants !== undefined || source !== undefined;
}

/** The built kernel of `--with` and `--source`. Undefined when neither is given. */
export function chosenBuild(options: KernelOptions): KeptBuild | undefined {
  if (!choosesBuild(options)) return undefined;
  requireBuildableArchitecture(options);
  if (options.kernel !== undefined) {
    throw argumentError(
      "lab",
      "kernel",
      options.kernel,
      "no image beside --with or --source, which name a kernel, too",
    );
  }
  return requireKeptBuild(labCache(thisHost()), { variants: options.with ?? [], tree: options.source });
}

/** Throws for another architecture than x86_64, for which the lab builds its own kernel alone. */
export function requireBuildableArchitecture({ arch = DEFAULT_ARCHITECTURE.name }: Pick<KernelOptions, "arch">): void {
  if (arch === DEFAULT_ARCHITECTURE.name) return;
  throw argumentError("lab", "arch", arch, `${DEFAULT_ARCHITECTURE.name} beside --with, --source and --coverage`);
}

/** The VM for a kept kernel: its image, the arguments it needs on its command line, and limits for its speed. */
export function machineFor(build: KeptBuild, machine: LabMachineOptions): LabMachineOptions {
  return {
    ...machine,
    kernel: build.image,
    kernelParameters: [...build.parameters, ...(machine.kernelParameters ?? [])],
    bootTimeoutMs: machine.bootTimeoutMs ?? LAB_DEFAULTS.bootTimeoutMs * build.slowdown,
    slowdown: build.slowdown,
  };
}

/**
 * The file with the kernel's symbols: beside a kept build's image, or at the top of a build folder with
 * `arch/x86/boot/bzImage`.
 */
export function findVmlinux({ image, build }: { image: string; build?: string }): string {
  const folders = build === undefined ? ancestors(resolve(image)) : [build];
  const found = folders.map((folder) => join(folder, "vmlinux")).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new VfioError(`no vmlinux belongs to the kernel ${image}`, {
    code: "ERR_LAB_NO_IMAGE",
    operation: "lab gdb",
    subject: image,
    remedy:
      "build one that keeps it, `vfio-selftests lab setup --with debug-info`, or name the image inside its build folder",
  });
}

function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [] : [parent, ...ancestors(parent)];
}
