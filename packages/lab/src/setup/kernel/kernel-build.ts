import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { execute } from "../../host/execute";
import { findProgram } from "../../host/find-program";
import type { LabHost } from "../../host/host";
import { type LostOption, lostOptions } from "./kernel-config";
import { fragmentText, type KernelFragment } from "./kernel-fragment";
import type { KernelSource } from "./kernel-source";

/** Disk space for the source tree and the build. Both go when the kernel is done; it keeps 5 MB. */
export const KERNEL_BUILD_BYTES = 3 * 1024 * 1024 * 1024;

export interface BuiltKernel {
  /** Version and fragment key. */
  readonly name: string;
  readonly image: string;
  /** Wanted options that this kernel version did not take. */
  readonly lost: readonly LostOption[];
}

/** The newest kernel built before from this fragment. */
export function builtKernel(kernels: string, fragment: KernelFragment): BuiltKernel | undefined {
  if (!existsSync(kernels)) return undefined;
  const name = readdirSync(kernels)
    .filter((folder) => folder.endsWith(`-${fragment.key}`))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
  return name === undefined ? undefined : describeKernel(kernels, name, fragment);
}

function describeKernel(kernels: string, name: string, fragment: KernelFragment): BuiltKernel {
  const config = readFileSync(join(kernels, name, "config"), "utf8");
  return { name, image: join(kernels, name, "bzImage"), lost: lostOptions(fragment.wanted, config) };
}

/** Builds the kernel out of tree in `work` (an interrupted build goes on) and puts image and configuration into `kernels`. */
export async function buildKernel(
  host: LabHost,
  source: KernelSource,
  fragment: KernelFragment,
  folders: { work: string; kernels: string },
  options: { signal?: AbortSignal | undefined; onLine?: (line: string) => void },
): Promise<BuiltKernel> {
  const name = `${source.version}-${fragment.key}`;
  const build = join(folders.work, `build-${name}`);
  mkdirSync(build, { recursive: true });
  const logFile = join(folders.work, "kernel-build.log");
  // Compilers of a set-up that was killed may be at work in there a moment longer; they hold the lock, too.
  const flock = findProgram(host, "flock");
  const lockFile = join(folders.work, "build.lock");
  const alone = flock === undefined ? [] : [flock, "--no-fork", "--timeout", "120", lockFile];
  const make = async (...args: string[]): Promise<string> =>
    execute(host, [...alone, "make", "-C", source.folder, `O=${build}`, "--no-print-directory", ...args], {
      ...options,
      logFile,
    });
  const config = join(build, ".config");
  if (!existsSync(join(build, "configured"))) {
    await make("tinyconfig");
    writeFileSync(config, `${readFileSync(config, "utf8")}\n${fragmentText(fragment)}`);
    await make("olddefconfig");
    checkRequired(fragment, readFileSync(config, "utf8"), source.version);
    writeFileSync(join(build, "configured"), "");
  }
  await make(`-j${host.cpus}`, "bzImage");
  const finished = join(folders.kernels, name);
  const unfinished = `${finished}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  copyFileSync(join(build, "arch/x86/boot/bzImage"), join(unfinished, "bzImage"));
  copyFileSync(config, join(unfinished, "config"));
  rmSync(finished, { recursive: true, force: true });
  renameSync(unfinished, finished);
  rmSync(build, { recursive: true, force: true });
  rmSync(source.folder, { recursive: true, force: true });
  return describeKernel(folders.kernels, name, fragment);
}

function checkRequired(fragment: KernelFragment, config: string, version: string): void {
  const lost = lostOptions(fragment.required, config);
  if (lost.length === 0) return;
  const list = lost.map(({ name, value, actual }) => `${name}=${value} (is ${actual})`).join(", ");
  throw new VfioError(`the configuration of kernel ${version} does not take what the lab needs: ${list}`, {
    code: "ERR_LAB_KERNEL_CONFIG",
    operation: "make olddefconfig",
    subject: version,
    remedy: "this version has renamed or dropped them: adapt kernel/required.config, or give an image with --kernel",
  });
}
